//! What outlives a job: caches, artifacts, reports, outputs.

use axum::http::StatusCode;
use pipelines::plan::Cache;

use super::*;

mod docker;

/// Steps that leave something.
fn leaving(scripts: &[&str], leave: impl FnOnce(&mut StepsWork)) -> AssignedWork {
    let AssignedWork::Steps(mut work) = steps(scripts) else {
        unreachable!("steps are steps");
    };
    leave(&mut work);
    AssignedWork::Steps(work)
}

/// Steps that keep `target` in a cache.
fn cached(script: &str) -> AssignedWork {
    leaving(&[script], |work| {
        work.caches.push(cache(&["target"]));
    })
}

/// A cache of these paths; its key is the file `greeting`.
fn cache(paths: &[&str]) -> Cache {
    Cache {
        prefix: "ci.test.0".into(),
        files: vec!["greeting".into()],
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// What Seaworthy said about its caches and files in the log of a job, without figures that change.
fn said(world: &World, job: i64) -> Vec<String> {
    let said = texts(&world.server.log_at_end(job)).into_iter();
    let said = said.filter(|line| {
        ["cache ", "kept ", "no ", "tests: ", "output"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    said.map(|line| line.split(" (key").next().unwrap_or_default().to_owned())
        .collect()
}

fn outputs(reports: &[Report]) -> Vec<String> {
    let told = reports.iter().find_map(|report| match report {
        Report::Finished { outputs, .. } => Some(outputs),
        _ => None,
    });
    let told = told.into_iter().flatten();
    told.map(|(name, value)| format!("{name}={value:?}"))
        .collect()
}

/// A world whose commit holds a report, as the engine that plays shell cannot write one.
async fn with_report() -> World {
    let mut world = World::new().await;
    let report = "<testsuite><testcase name='adds'/>\
                  <testcase name='totals'><failure/></testcase></testsuite>";
    world.forge = Forge::start(&[("junit.xml", report)]).await;
    world.server = StandIn::start(world.forge.checkout()).await;
    world
}

#[tokio::test]
async fn a_cache_is_missed_kept_and_then_hit() {
    let mut world = World::new().await;
    let work = cached("echo made > target");
    world.play(1, work).await;
    let work = cached("cat target");
    let ended = world.play(2, work).await;
    let told = (ended, said(&world, 1), said(&world, 2));
    let first = [
        "cache target: miss, there is none yet",
        "cache target: kept",
    ];
    let expected = (
        (Outcome::Passed, None),
        first.map(str::to_owned).into(),
        vec!["cache target: hit".to_owned()],
    );
    assert_eq!(told, expected);
    world.end().await;
}

#[tokio::test]
async fn a_cache_of_another_key_stands_in_and_is_kept_anew() {
    let mut world = World::new().await;
    let work = || cached("echo made > target");
    world.play(1, work()).await;
    world
        .server
        .change_caches(|caches| caches[0].key = "ab".repeat(32));
    world.play(2, work()).await;
    let said: Vec<String> = said(&world, 2);
    let begins = ["cache target: no hit for key", "cache target: kept"];
    let holds = said
        .iter()
        .zip(begins)
        .all(|(line, begin)| line.starts_with(begin));
    assert!(
        holds && said.len() == 2 && world.server.caches().len() == 2,
        "{said:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_damaged_or_hostile_cache_is_a_miss_and_nothing_of_it_arrives() {
    let mut world = World::new().await;
    let work = || cached("cat target");
    world.play(1, cached("echo made > target")).await;
    world
        .server
        .change_caches(|caches| caches[0].bytes[20] ^= 1);
    let damaged = world.play(2, work()).await.0;
    world.server.change_caches(|caches| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, "workspace/target", std::io::empty())
            .unwrap();
        let name = &mut header.as_gnu_mut().unwrap().name;
        name.fill(0);
        name[..4].copy_from_slice(b"../x");
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
        caches[0].bytes = zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap();
        caches[0].digest = server::kept::digest(&caches[0].bytes);
    });
    let hostile = world.play(3, work()).await.0;
    let said = [said(&world, 2), said(&world, 3)].concat();
    let why = "cache target: miss, the one that was found is not used: ";
    let expected = [
        format!("{why}its bytes are not those that were kept"),
        format!("{why}the path `../x` is not a plain one"),
    ];
    // The step fails: what it wants to show is not there.
    let failed = (Outcome::Failed, Outcome::Failed);
    assert_eq!(((damaged, hostile), said), (failed, expected.into()));
    world.end().await;
}

#[tokio::test]
async fn a_cache_that_cannot_be_kept_is_a_note() {
    let mut world = World::new().await;
    world.server.refuse_files(StatusCode::PAYLOAD_TOO_LARGE);
    let work = leaving(&["echo made > target"], |work| {
        work.caches.push(cache(&["target"]));
        work.caches.push(cache(&["never"]));
    });
    let ended = world.play(1, work).await;
    let said = said(&world, 1).split_off(2);
    let expected = [
        "cache target: not kept: the server refused the call with status 413: not this one",
        "cache never: not kept: none of its paths is there",
    ];
    assert_eq!(
        (ended, said),
        ((Outcome::Passed, None), expected.map(str::to_owned).into())
    );
    world.end().await;
}

#[tokio::test]
async fn a_failed_job_keeps_no_cache_but_its_files() {
    let mut world = World::new().await;
    let work = leaving(&["echo made > target\nexit 1"], |work| {
        work.caches.push(cache(&["target"]));
        work.artifacts.push("t*".into());
    });
    world.play(1, work).await;
    let kept = (world.server.caches().len(), world.server.files());
    assert_eq!(kept, (0, vec!["artifact target: made".to_owned()]));
    world.end().await;
}

#[tokio::test]
async fn a_job_that_waits_for_a_cache_can_be_stopped() {
    let mut world = World::new().await;
    let work = || cached("echo made > target");
    world.play(1, work()).await;
    // One byte more than ever comes.
    world.server.change_caches(|caches| {
        let mut short = caches[0].clone();
        short.bytes.pop();
        caches[0] = short;
    });
    world.server.stall_caches();
    let mut two = assignment(2, world.forge.commit(), work());
    two.timeout_seconds = 1;
    world.server.queue(two);
    let ended = world.server.finished(2).await;
    assert_eq!(
        ended,
        (Outcome::TimedOut, Some("not done within its 1 s".into()))
    );
    world.end().await;
}

#[tokio::test]
async fn artifacts_and_reports_are_kept_and_failed_tests_are_the_reason() {
    let mut world = with_report().await;
    let work = leaving(&["echo made > app\nexit 3"], |work| {
        work.artifacts.push("app".into());
        work.junit.push("*.xml".into());
    });
    let ended = world.play(1, work).await;
    let why =
        "1 of 2 tests failed: totals (step `run echo made > app\nexit 3` failed: exit code 3)";
    let story = story(&world.server.reports(1)).split_off(4);
    let expected = ["2 keep", "tests: 1 failed", "2 passed", "end failed 3"];
    let files = world.server.files().len();
    assert_eq!(
        (ended, story, files),
        (
            (Outcome::Failed, Some(why.into())),
            expected.map(str::to_owned).into(),
            2
        )
    );
    world.end().await;
}

#[tokio::test]
async fn what_matches_nothing_is_said() {
    let mut world = World::new().await;
    let work = leaving(&["echo x > app"], |work| {
        work.artifacts.push("dist/".into());
        work.junit.push("target/*.xml".into());
    });
    let ended = world.play(1, work).await.0;
    let expected = [
        "no artifacts: no file matches dist/",
        "no test reports: no file matches target/*.xml",
    ];
    assert_eq!(
        (ended, said(&world, 1)),
        (Outcome::Passed, expected.map(str::to_owned).into())
    );
    world.end().await;
}

#[tokio::test]
async fn an_artifact_that_the_server_refuses_fails_the_job() {
    let mut world = World::new().await;
    world.server.refuse_files(StatusCode::PAYLOAD_TOO_LARGE);
    let work = leaving(&["echo x > app"], |work| work.artifacts.push("app".into()));
    let ended = world.play(1, work).await;
    let why = "`app` cannot be kept: the server refused the call with status 413: not this one";
    assert_eq!(ended, (Outcome::Failed, Some(why.into())));
    world.end().await;
}

#[tokio::test]
async fn outputs_are_texts_without_their_last_line_end() {
    let mut world = World::new().await;
    let work = leaving(&["echo 1.2.3 > version"], |work| {
        work.outputs.insert("version".into(), "version".into());
        work.outputs.insert("greeting".into(), "greeting".into());
    });
    world.play(1, work).await;
    let told = outputs(&world.server.reports(1));
    assert_eq!(
        told,
        ["greeting=\"hello from the commit\"", "version=\"1.2.3\""]
    );
    world.end().await;
}

#[tokio::test]
async fn an_output_without_its_file_fails_the_job() {
    let mut world = World::new().await;
    let work = leaving(&["echo x"], |work| {
        work.outputs.insert("version".into(), "version".into());
    });
    let ended = world.play(1, work).await;
    let why = "output `version`: the steps have made no file `version`";
    assert_eq!(ended, (Outcome::Failed, Some(why.into())));
    world.end().await;
}

#[tokio::test]
async fn an_output_is_small_text() {
    let mut world = World::new().await;
    let long = format!("echo {} > long", "x".repeat(64 * 1024));
    let work = leaving(&[&long], |work| {
        work.outputs.insert("long".into(), "long".into());
    });
    let ended = world.play(1, work).await;
    let why = "output `long`: `long` is larger than 64 KiB";
    assert_eq!(ended, (Outcome::Failed, Some(why.into())));
    world.end().await;
}
