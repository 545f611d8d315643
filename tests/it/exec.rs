//! `seaworthy exec` and `seaworthy check`: the real program in a working tree, the real engine.

use anyhow::{Context, Result};
use std::time::Duration;
use tests::docker::Docker;
use tests::laptop::Laptop;
use tests::program::signal;
use tests::require;

/// Two cells, an output, a cache, an artifact, a job that reads the output.
const WHOLE: &str = r#"
on: push
env: { GREETING: hello }
jobs:
  test:
    image: BUSYBOX
    matrix: { colour: [red, blue] }
    cache: { key: [lock], paths: [kept] }
    steps:
      - { name: cache, run: "test -e kept/mark && cat kept/mark || echo cold" }
      - { name: make, run: "mkdir -p kept out; echo warm > kept/mark; echo $SEAWORTHY_MATRIX_COLOUR > out/colour.txt" }
    artifacts: [out/*.txt]
  version:
    needs: [test]
    image: BUSYBOX
    steps:
      - { name: write, run: "cat tracked fresh > version.txt" }
    outputs: { version: version.txt }
  say:
    needs: [version]
    image: BUSYBOX
    env: { VERSION: "${{ jobs.version.outputs.version }}" }
    steps:
      - { name: say, run: 'echo "$GREETING $VERSION"; test ! -e ignored' }
"#;

async fn whole() -> Result<Laptop> {
    let laptop = Laptop::with(&[
        (".seaworthy/ci.yml", WHOLE),
        (".gitignore", "ignored\n"),
        ("lock", "1"),
        ("tracked", "1."),
    ])
    .await?;
    // Not committed, and seen all the same; but for what git does not want.
    laptop.write("fresh", "2")?;
    laptop.write("ignored", "3")?;
    Ok(laptop)
}

#[tokio::test]
async fn a_whole_pipeline_runs_from_the_working_tree() -> Result<()> {
    let _turn = require!(Docker);
    let laptop = whole().await?;
    let done = laptop.expect(0, &["exec", "--slots", "1"]).await?;
    insta::assert_snapshot!(done.story());
    Ok(())
}

#[tokio::test]
async fn the_second_run_finds_the_cache_of_the_first() -> Result<()> {
    let _turn = require!(Docker);
    let laptop = whole().await?;
    let args = ["exec", "--job", "test-red", "--verbose"];
    let mut said = Vec::new();
    for _ in 0..2 {
        let done = laptop.expect(0, &args).await?;
        let lines = done.out.lines().map(str::to_owned);
        said.extend(lines.filter(|line| line.ends_with("| cold") || line.ends_with("| warm")));
    }
    assert_eq!(said, ["test-red | cold", "test-red | warm"]);
    Ok(())
}

#[tokio::test]
async fn artifacts_are_copied_where_they_are_wanted() -> Result<()> {
    let _turn = require!(Docker);
    let laptop = whole().await?;
    let to = laptop.beside("artifacts");
    let folder = to.to_str().context("a path is text")?;
    laptop
        .expect(0, &["exec", "--job", "test", "--artifacts", folder])
        .await?;
    let colours = ["test-red", "test-blue"]
        .map(|job| std::fs::read_to_string(to.join(job).join("out/colour.txt")).ok());
    assert_eq!(colours, [Some("red\n".into()), Some("blue\n".into())]);
    Ok(())
}

#[tokio::test]
async fn a_failed_job_shows_its_cause_and_its_last_lines() -> Result<()> {
    let _turn = require!(Docker);
    let file = r#"
on: push
jobs:
  test:
    image: BUSYBOX
    steps:
      - { name: unit, run: "echo one; echo two; exit 3" }
      - { name: report, run: echo reported, when: { status: always } }
      - { name: never, run: echo never }
  image:
    needs: [test]
    image: BUSYBOX
    steps: [echo never]
"#;
    let laptop = Laptop::with(&[(".seaworthy.yml", file)]).await?;
    let done = laptop.expect(1, &["exec"]).await?;
    insta::assert_snapshot!(done.story());
    Ok(())
}

#[tokio::test]
async fn an_interrupted_run_leaves_nothing_behind() -> Result<()> {
    let _turn = require!(Docker);
    let file = "on: push\njobs: { long: { image: BUSYBOX, steps: [echo begun; sleep 600] } }\n";
    let laptop = Laptop::with(&[(".seaworthy.yml", file)]).await?;
    let mut program = laptop.start(&["exec", "--verbose"])?;
    program
        .says("long | begun", Duration::from_secs(60))
        .await?;
    signal("INT", program.pid().context("it runs")?)?;
    let status = program.exit(Duration::from_secs(60)).await?;
    assert_eq!(status.code(), Some(130), "{}", program.output());
    let left = Docker::connect()?.objects_of(&laptop.repository).await?;
    assert_eq!((left, laptop.left()), (Vec::new(), Vec::new()));
    Ok(())
}

#[tokio::test]
async fn what_a_killed_run_left_is_removed_by_the_next() -> Result<()> {
    let _turn = require!(Docker);
    let file = "on: { push: , manual: { inputs: { long: { default: 'no' } } } }\njobs: { job: { image: BUSYBOX, steps: ['echo begun; test $SEAWORTHY_INPUT_LONG = no || sleep 600'] } }\n";
    let laptop = Laptop::with(&[(".seaworthy.yml", file)]).await?;
    let args = [
        "exec",
        "--verbose",
        "--event",
        "manual",
        "--input",
        "long=yes",
    ];
    let mut program = laptop.start(&args)?;
    program.says("job | begun", Duration::from_secs(60)).await?;
    program.kill().await?;
    laptop.expect(0, &["exec"]).await?;
    let left = Docker::connect()?.objects_of(&laptop.repository).await?;
    assert_eq!((left, laptop.left()), (Vec::new(), Vec::new()));
    Ok(())
}

#[tokio::test]
async fn a_secret_comes_from_the_environment_and_is_never_shown() -> Result<()> {
    let _turn = require!(Docker);
    let file = r#"
on: push
jobs:
  use:
    image: BUSYBOX
    secrets: [npm_token, other]
    steps: ['echo "token $NPM_TOKEN"; test "$NPM_TOKEN" = hunter2-hunter2; test -z "$OTHER"']
"#;
    let laptop = Laptop::with(&[(".seaworthy.yml", file)]).await?;
    let args = ["exec", "--verbose", "--secret", "npm_token"];
    let done = laptop
        .run_with(&args, &[("NPM_TOKEN", "hunter2-hunter2")])
        .await?;
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(!done.out.contains("hunter2"), "{}", done.out);
    Ok(())
}

#[tokio::test]
async fn a_built_image_stands_for_itself_in_later_jobs() -> Result<()> {
    let _turn = require!(Docker);
    let file = r#"
on: push
jobs:
  image:
    build: { image: registry.example/laptop/shop }
  try:
    needs: [image]
    image: "${{ jobs.image.outputs.image }}"
    steps: [cat /greeting]
"#;
    let dockerfile = "FROM BUSYBOX\nRUN echo hello from the image > /greeting\n";
    let laptop = Laptop::with(&[(".seaworthy.yml", file), ("Dockerfile", dockerfile)]).await?;
    let done = laptop.expect(0, &["exec", "--verbose"]).await?;
    assert!(
        done.out.contains("try | hello from the image"),
        "{}",
        done.out
    );
    Ok(())
}

const DEPLOY: &str = r#"
on: push
jobs:
  staging: { deploy: { environment: staging, manifests: deploy/ } }
"#;
const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: exec-rehearsal }\ndata: { greeting: hello }\n";

async fn deploying() -> Result<Laptop> {
    Laptop::with(&[
        (".seaworthy/ci.yml", DEPLOY),
        (
            ".seaworthy/environments.yml",
            "staging: { namespace: default }\n",
        ),
        ("deploy/config.yml", CONFIG_MAP),
    ])
    .await
}

#[tokio::test]
async fn a_deploy_is_rehearsed_and_writes_nothing() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let laptop = deploying().await?;
    // The second would find what the first had written.
    for _ in 0..2 {
        let done = laptop.expect(0, &["exec", "--verbose"]).await?;
        let would = "staging | ConfigMap exec-rehearsal: would be created";
        assert!(done.out.contains(would), "{}", done.out);
    }
    Ok(())
}

#[tokio::test]
async fn without_a_cluster_a_deploy_is_skipped_and_says_why() -> Result<()> {
    let laptop = deploying().await?;
    let nowhere = laptop.beside("nowhere");
    let nowhere = nowhere.to_str().context("a path is text")?;
    let done = laptop
        .run_with(&["exec"], &[("KUBECONFIG", nowhere)])
        .await?;
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(
        done.out
            .contains("it cannot be rehearsed: cannot use kubeconfig"),
        "{}",
        done.out
    );
    Ok(())
}

/// A typo, a missing need, a template from elsewhere, and an environment that is not there.
const BROKEN: &str = r#"on:
  push: { brnches: [main] }
jobs:
  test:
    image: rust:1.95
    needs: [lint]
    steps: [cargo test]
  more: { extends: "acme/pipelines@v3:rust.yml#test" }
"#;

async fn checked(args: &[&str]) -> Result<String> {
    let laptop = Laptop::with(&[(".seaworthy/ci.yml", BROKEN)]).await?;
    let done = laptop.expect(1, args).await?;
    Ok(format!("{}{}", done.out, done.err))
}

#[tokio::test]
async fn check_shows_a_person_the_line_and_the_place() -> Result<()> {
    insta::assert_snapshot!(checked(&["check"]).await?);
    Ok(())
}

#[tokio::test]
async fn check_gives_a_program_every_problem() -> Result<()> {
    insta::assert_snapshot!(checked(&["check", "--format", "json"]).await?);
    Ok(())
}

#[tokio::test]
async fn check_gives_github_its_annotations() -> Result<()> {
    insta::assert_snapshot!(checked(&["check", "--format", "github"]).await?);
    Ok(())
}

#[tokio::test]
async fn check_reads_a_template_of_another_repository_from_a_copy() -> Result<()> {
    let file = "on: push\njobs: { test: { extends: 'acme/pipelines@v3:rust.yml#test' } }\n";
    let template = "templates: { test: { image: rust:1.95, steps: [cargo test] } }\n";
    let laptop = Laptop::with(&[
        (".seaworthy.yml", file),
        ("copies/acme/pipelines@v3/rust.yml", template),
    ])
    .await?;
    let codes = [
        laptop.run(&["check"]).await?.code,
        laptop.run(&["check", "--templates", "copies"]).await?.code,
    ];
    assert_eq!(codes, [Some(1), Some(0)]);
    Ok(())
}

#[tokio::test]
async fn check_tells_wrong_use_from_wrong_files() -> Result<()> {
    let laptop = Laptop::with(&[("README", "no pipeline")]).await?;
    let codes = [
        laptop.run(&["check"]).await?.code,
        laptop.run(&["check", "nowhere.yml"]).await?.code,
        laptop.run(&["check", "--format", "xml"]).await?.code,
    ];
    assert_eq!(codes, [Some(2); 3]);
    Ok(())
}

#[tokio::test]
async fn check_prints_what_an_event_starts() -> Result<()> {
    let laptop = whole().await?;
    let done = laptop
        .expect(0, &["check", "--plan", "--event", "tag:v1"])
        .await?;
    let commit = laptop.git(&["rev-parse", "HEAD"]).await?;
    insta::assert_snapshot!(done.out.replace(commit.trim(), "COMMIT").replace(
        &tests::engines::busybox().unwrap_or_else(|_| "busybox".into()),
        "BUSYBOX"
    ));
    Ok(())
}
