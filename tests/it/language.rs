//! What the pipeline file can say, told from a push to its runs. No engine is needed: the steps are
//! played by the scripted one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::history::History;
use tests::runners::RunnerOptions;
use tests::world::World;

use crate::files::FILE;

const SOON: Duration = Duration::from_secs(30);

/// Starts the pipeline `ci` by hand: the status and the body.
async fn start(world: &World, name: &str, inputs: Value) -> Result<(u16, Value)> {
    let path = format!("/api/v1/repos/{name}/runs");
    let body = json!({ "pipeline": "ci", "inputs": inputs });
    let (status, body) = world.api.post(&path, &body).await?;
    Ok((status, serde_json::from_str(&body)?))
}

/// `name state` of every job of a run.
async fn states(world: &World, name: &str, number: u64) -> Result<Vec<String>> {
    let run = world.api.run(name, number).await?;
    let jobs = run.jobs.iter();
    Ok(jobs
        .map(|job| format!("{} {}", job.name, job.state))
        .collect())
}

#[tokio::test]
async fn a_matrix_uses_what_an_earlier_job_made() -> Result<()> {
    let world = World::start().await?;
    let name = world.name("matrix");
    let repository = world.repository(&name).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let file = r#"
on: push
jobs:
  version:
    image: any
    steps: ["echo 3.21 > version.txt"]
    outputs: { version: version.txt }
  test:
    needs: [version]
    image: "any:${{ jobs.version.outputs.version }}"
    matrix: { toolchain: [stable, Beta 2] }
    steps: ["echo tested $SEAWORTHY_MATRIX_TOOLCHAIN of $SEAWORTHY_OUTPUT_VERSION_VERSION"]
  tidy: { needs: [test], when: { status: always }, image: any, steps: [echo tidy] }
  alarm: { needs: [test], when: { status: failure }, image: any, steps: [echo alarm] }
"#;
    let sha = repository.commit("main", "Begin", &[(FILE, file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    assert_eq!(
        states(&world, &name, run.number).await?,
        [
            "version passed",
            "test-stable passed",
            "test-beta-2 passed",
            "tidy passed",
            "alarm skipped"
        ]
    );
    let log = world.api.log(&name, run.number, "test-beta-2").await?;
    assert!(log.contains("tested Beta 2 of 3.21"), "{log}");
    let path = format!("/api/v1/repos/{name}/runs/{}", run.number);
    let told: Value = world.api.read(&path).await?;
    let cell = &told["jobs"][2];
    assert_eq!(
        (&cell["group"], &cell["matrix"]),
        (&json!("test"), &json!({ "toolchain": "Beta 2" }))
    );
    Ok(())
}

#[tokio::test]
async fn jobs_that_watch_for_failures_run_after_one() -> Result<()> {
    let world = World::start().await?;
    let name = world.name("watch");
    let repository = world.repository(&name).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let file = "
on: push
jobs:
  test: { image: any, retry: { attempts: 1, on: [exit:75] }, steps: [exit 75] }
  ship: { needs: [test], image: any, steps: [echo never] }
  tidy: { needs: [ship], when: { status: always }, image: any, steps: [echo tidy] }
  alarm: { needs: [ship], when: { status: failure }, image: any, steps: [echo alarm] }
";
    let sha = repository.commit("main", "Begin", &[(FILE, file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    let wanted = ["test failed", "ship skipped", "tidy passed", "alarm passed"];
    assert_eq!(states(&world, &name, run.number).await?, wanted);
    assert_eq!(run.job("test")?.attempt, 2, "{}", run.summary());
    Ok(())
}

#[tokio::test]
async fn a_newer_push_supersedes_what_the_older_one_still_does() -> Result<()> {
    let world = World::start().await?;
    let name = world.name("newest");
    let repository = world.repository(&name).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let file = |step: &str| {
        format!(
            "on: push\nconcurrency: {{ group: \"${{{{ branch }}}}\", newest: wins }}\njobs:\n  \
             test: {{ image: any, steps: [{step}] }}\n  \
             after: {{ needs: [test], image: any, steps: [echo after] }}\n"
        )
    };
    let first = repository
        .commit("main", "Begin", &[(FILE, &file("sleep 600"))])
        .await?;
    let is_running = |run: &tests::api::Run| run.state == "running";
    world
        .run_when(&name, &first, "is running", is_running)
        .await?;
    let second = repository
        .commit("main", "Go on", &[(FILE, &file("echo quick"))])
        .await?;
    let newer = world.run_of(&name, &second).await?;
    assert_eq!(newer.state, "passed", "{}", newer.summary());
    let older = world.run_of(&name, &first).await?;
    assert_eq!(older.state, "superseded", "{}", older.summary());
    assert_eq!(older.reason.as_deref(), Some("superseded by run #2"));
    Ok(())
}

#[tokio::test]
async fn a_schedule_that_came_while_the_server_was_away_starts_once() -> Result<()> {
    let world = World::start().await?;
    let name = world.name("schedule");
    let repository = world.repository(&name).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let file = "
on: { schedule: [{ cron: '30 4 29 2 *', zone: Europe/Berlin }] }
jobs: { nightly: { image: any, steps: [echo $SEAWORTHY_EVENT] } }
";
    repository.commit("main", "Begin", &[(FILE, file)]).await?;
    let history = world.history().await?;
    world
        .eventually("the schedule to be on record", SOON, async || {
            let count = history.number("select count(*) from schedules").await?;
            ensure!(count == 1, "there are {count}");
            Ok(())
        })
        .await?;
    assert_eq!(
        world.runs(&name, 0).await?.len(),
        0,
        "a push starts nothing"
    );
    history.close().await;
    world.stop_server().await?;
    History::change(&world.data(), "update schedules set next_at = 86400000").await?;
    world.start_server().await?;
    let run = world.runs(&name, 1).await?.remove(0);
    assert_eq!(run.event, "schedule");
    let run = world.run_of(&name, &run.commit).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let history = world.history().await?;
    let left = "select count(*) from schedules where next_at > unixepoch() * 1000";
    assert_eq!(history.number(left).await?, 1, "the next is to come");
    let meant = "select schedule_at from runs";
    assert_eq!(history.number(meant).await?, 86_400_000);
    assert_eq!(world.runs(&name, 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_person_gives_what_the_pipeline_asks_for() -> Result<()> {
    let world = World::start().await?;
    let name = world.name("inputs");
    let repository = world.repository(&name).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let file = "
on:
  push:
  manual:
    inputs:
      reason: { required: true }
      count: { type: number, default: 3 }
      dry: { type: boolean, default: false }
      size: { type: choice, options: [small, large], default: small }
jobs:
  work: { image: any, steps: [echo got $SEAWORTHY_INPUT_REASON $SEAWORTHY_INPUT_COUNT $SEAWORTHY_INPUT_DRY] }
";
    let sha = repository.commit("main", "Begin", &[(FILE, file)]).await?;
    world.run_of(&name, &sha).await?;
    let (status, refused) = start(&world, &name, json!({ "size": "huge", "sise": 1 })).await?;
    assert_eq!(status, 422, "{refused}");
    let words = refused["error"].as_str().unwrap_or_default();
    for word in [
        "`reason` is missing",
        "one of small, large",
        "did you mean `size`",
    ] {
        assert!(words.contains(word), "{refused}");
    }
    let inputs = json!({ "reason": "audit", "count": 4.5, "dry": true });
    let (status, started) = start(&world, &name, inputs).await?;
    assert_eq!(status, 201, "{started}");
    let number = started["number"].as_u64().context("a number")?;
    let (status, body) = world
        .api
        .post(
            &format!("/api/v1/repos/{name}/runs/{number}/rerun"),
            &json!({}),
        )
        .await?;
    assert_eq!(status, 201, "{body}");
    for number in [number, number + 1] {
        let passed = async || {
            let run = world.api.run(&name, number).await?;
            ensure!(run.state == "passed", "{}", run.summary());
            Ok(())
        };
        world.eventually("the run to pass", SOON, passed).await?;
        let log = world.api.log(&name, number, "work").await?;
        assert!(log.contains("got audit 4.5 true"), "{log}");
    }
    let path = format!("/api/v1/repos/{name}/runs/{}", number + 1);
    let told: Value = world.api.read(&path).await?;
    assert_eq!(told["inputs"]["reason"], "audit");
    Ok(())
}

#[tokio::test]
async fn a_job_comes_from_another_repository_of_the_installation() -> Result<()> {
    let world = World::start().await?;
    let (name, shared) = (world.name("user"), world.name("pipelines"));
    let repository = world.repository(&name).await?;
    let templates = world.repository(&shared).await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let text = "templates:\n  test: { image: any, steps: [echo from the template] }\n";
    let commit = templates
        .commit("main", "Begin", &[("ci/rust.yml", text)])
        .await?;
    templates.tag("v3", &commit).await?;
    templates
        .commit("main", "Break it", &[("ci/rust.yml", "templates: {}\n")])
        .await?;
    let file = format!(
        "on: push\njobs:\n  test: {{ extends: \"{shared}@v3:ci/rust.yml#test\", timeout: 5m }}\n"
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let log = world.api.log(&name, run.number, "test").await?;
    assert!(log.contains("from the template"), "{log}");
    let history = world.history().await?;
    let used = history.texts("select templates from runs").await?;
    let wanted = json!([{ "source": format!("{shared}@v3:ci/rust.yml"), "commit": commit }]);
    assert_eq!(serde_json::from_str::<Value>(&used[0])?, wanted);
    Ok(())
}

#[tokio::test]
async fn what_the_installation_cannot_read_is_a_problem_of_the_file() -> Result<()> {
    let world = World::start().await?;
    let (name, hidden) = (world.name("reader"), world.name("hidden"));
    let repository = world.repository(&name).await?;
    let other = world.repository(&hidden).await?;
    let text = "templates:\n  test: { image: any, steps: [echo secret] }\n";
    other.commit("main", "Begin", &[("ci.yml", text)]).await?;
    other.uninstall().await?;
    let file = format!(
        "on: push\njobs:\n  a: {{ extends: \"{hidden}@main:ci.yml#test\" }}\n  \
         b: {{ extends: \"{name}@main:missing.yml#test\" }}\n  \
         c: {{ extends: \"{name}@nowhere:ci.yml#test\" }}\n"
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    let history = world.history().await?;
    let problems = history.texts("select problems from runs").await?.concat();
    for words in [
        "cannot read",
        "there is no file `missing.yml`",
        "there is no branch, tag or commit `nowhere`",
    ] {
        assert!(problems.contains(words), "{problems}");
    }
    Ok(())
}
