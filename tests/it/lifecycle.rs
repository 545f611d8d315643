//! Jobs of steps in real containers, from their first line to their end.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::docker::Docker;
use tests::github::{Change, Person};
use tests::world::World;
use tests::{engines, require};

use crate::files::{FILE, job, steps};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn steps_share_a_workspace_and_their_output_is_the_log() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("steps");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let scripts = [
        "cat greeting\necho made by one > file\necho \"on $SEAWORTHY_BRANCH\"",
        "cat file\necho to the other side >&2\nid -u\ntest ! -e /var/run/docker.sock",
    ];
    let files = [
        (FILE, &*steps(&scripts)?),
        ("greeting", "hello from the repository\n"),
    ];
    let sha = repository.commit("main", "Begin", &files).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let log = world.api.log(&name, run.number, "work").await?;
    for line in [
        "hello from the repository",
        "on main",
        "made by one",
        "to the other side",
    ] {
        assert!(log.contains(line), "the log lacks `{line}`:\n{log}");
    }
    let codes: Vec<_> = run
        .job("work")?
        .steps
        .iter()
        .map(|step| step.exit_code)
        .collect();
    assert!(codes.ends_with(&[Some(0), Some(0)]), "{codes:?}");
    let docker = Docker::connect()?;
    assert_eq!(
        docker.objects_of(&name).await?,
        Vec::<String>::new(),
        "left on the engine"
    );
    Ok(())
}

#[tokio::test]
async fn a_failing_step_ends_its_job_with_its_code_and_skips_what_needs_it() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("failing");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let file = format!(
        "on: push\njobs:\n{}{}{}",
        job("first", "", &["echo before", "exit 7", "echo never"])?,
        job("second", "needs: [first]", &["echo never"])?,
        job("other", "", &["echo beside"])?,
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    let first = run.job("first")?;
    assert_eq!(first.state, "failed");
    assert!(
        first.why().contains('7') && first.why().contains("step 2"),
        "{}",
        first.why()
    );
    let failed = first.steps.iter().find(|step| step.name == "step 2");
    assert_eq!(failed.and_then(|step| step.exit_code), Some(7));
    let second = run.job("second")?;
    assert_eq!(second.state, "skipped");
    assert!(second.why().contains("first"), "{}", second.why());
    assert_eq!(run.job("other")?.state, "passed");
    let log = world.api.log(&name, run.number, "first").await?;
    assert!(log.contains("before") && !log.contains("never"), "{log}");
    Ok(())
}

#[tokio::test]
async fn jobs_wait_for_what_they_need() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("needs");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let file = format!(
        "on: push\njobs:\n{}{}",
        job("last", "needs: [first]", &["echo last"])?,
        job("first", "", &["sleep 1", "echo first"])?,
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let (first, last) = (run.job("first")?, run.job("last")?);
    assert!(first.finished_at <= last.started_at, "{first:?} {last:?}");
    Ok(())
}

/// F22
#[tokio::test]
async fn cancelling_a_run_ends_its_container() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("cancel");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    // It ends when asked to: nothing has to be killed.
    let patient = "trap 'echo asked to end; exit 1' TERM\necho waiting\nsleep 600 & wait";
    let sha = repository
        .commit("main", "Begin", &[(FILE, &steps(&[patient])?)])
        .await?;
    let run = world
        .run_when(&name, &sha, "is running", |run| run.state == "running")
        .await?;
    world
        .eventually("the step to wait", SOON, async || {
            ensure!(
                world.api.log(&name, 1, "work").await?.contains("waiting"),
                "it does not"
            );
            Ok(())
        })
        .await?;
    let path = format!("/api/v1/repos/{name}/runs/{}/cancel", run.number);
    let (status, body) = world.api.post(&path, &serde_json::json!({})).await?;
    ensure!((200..300).contains(&status), "{status}: {body}");
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "cancelled", "{}", run.summary());
    assert_eq!(run.job("work")?.state, "cancelled");
    let docker = Docker::connect()?;
    world
        .eventually("nothing to be left", SOON, async || {
            let left = docker.objects_of(&name).await?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
    let log = world.api.log(&name, run.number, "work").await?;
    assert!(log.contains("asked to end"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_job_over_its_time_is_ended_and_says_so() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("timeout");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let script = "trap 'exit 0' TERM\nsleep 600 & wait";
    let file = format!(
        "on: push\njobs:\n{}",
        job("work", "timeout: 3s", &[script])?
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "timed_out", "{}", run.summary());
    assert!(run.job("work")?.why().contains('3'), "{}", run.summary());
    Ok(())
}

/// F30
#[tokio::test]
async fn an_image_that_does_not_exist_fails_the_job_in_words() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("absent");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let absent = engines::busybox()?.replace("busybox:1", "absent:1");
    let file = format!("on: push\njobs:\n  work: {{ image: \"{absent}\", steps: [echo never] }}\n");
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    assert!(
        run.job("work")?.why().contains(&absent),
        "{}",
        run.summary()
    );
    Ok(())
}

#[tokio::test]
async fn a_fork_is_tested_and_never_deployed() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("fork");
    let repository = world.repository(&name).await?;
    let _steps = world.runner("steps", &[]).await?;
    let _deploys = world.runner("deploys", &["staging"]).await?;
    let deploy =
        "  staging:\n    needs: [test]\n    deploy: { environment: staging, manifests: deploy/ }\n";
    let file = format!(
        "on: {{ push: {{ branches: [main] }}, pull_request: {{}} }}\njobs:\n{}{deploy}",
        job("test", "", &["echo tested"])?
    );
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\n";
    let files = [
        (FILE, &*file),
        (
            ".seaworthy/environments.yml",
            "staging: { namespace: nowhere-at-all }\n",
        ),
        ("deploy/map.yaml", object),
    ];
    let main = repository.commit_silently("main", "Begin", &files).await?;
    let fork = repository.fork("mallory/fork").await?;
    let change = Change::on("patch")
        .parent(&main)
        .file("README.md", "better\n");
    fork.push(change).await?;
    let mallory = Person::new("mallory");
    let pull = repository
        .open_pull_request_from(&fork, "patch", "main", &mallory)
        .await?;
    let run = world.run_of(&name, &pull.head_sha()?).await?;
    assert_eq!(run.event, "pull_request");
    assert_eq!(run.job("test")?.state, "passed", "{}", run.summary());
    let staging = run.job("staging")?;
    assert_eq!(
        (staging.state.as_str(), staging.attempt),
        ("skipped", 0),
        "{}",
        run.summary()
    );
    assert!(staging.why().contains("fork"), "{}", staging.why());
    let history = world.history().await?;
    assert_eq!(
        history
            .number("select count(*) from deploys where started_at is not null")
            .await?,
        0
    );
    Ok(())
}
