//! A backup made while the server works, what comes back from it, and what `verify` finds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use pipelines::job::Outcome;
use pipelines::wire::Report;
use tests::caller::Caller;
use tests::campaign::scale;
use tests::history::History;
use tests::program::{self, Program};
use tests::runners::RunnerOptions;
use tests::world::{WEBHOOK_SECRET, World};
use tokio::process::Command;

use crate::files::{FILE, job, steps};

const SOON: Duration = Duration::from_secs(30);
const STORAGE_REFUSED: i32 = 4;

/// Runs `seaworthy WORDS`, with a data directory of this name below the world's folder.
async fn command(world: &World, words: &[&str], data: &str) -> Result<(i32, String)> {
    let mut command = Command::new(program::seaworthy()?);
    command.args(words).current_dir(world.dir());
    command.arg("--data").arg(world.dir().join(data));
    let done = command.output().await?;
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    Ok((
        done.status.code().context("it was killed")?,
        said.into_owned(),
    ))
}

async fn works(world: &World, words: &[&str], data: &str) -> Result<String> {
    let (code, said) = command(world, words, data).await?;
    ensure!(code == 0, "{words:?} ends with {code}: {said}");
    Ok(said)
}

/// A server on a restored directory.
async fn restored(world: &World, data: &str) -> Result<Program> {
    let mut server = world.second_server_on(data, &[])?;
    server.says("listening on http://", SOON).await?;
    Ok(server)
}

/// F47
#[tokio::test]
async fn a_backup_of_a_working_server_holds_what_was_acknowledged_before_it() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let count = scale(6, 100);
    let jobs = (0..count).map(|number| {
        job(
            &format!("j{number}"),
            "",
            &["echo begin", "sleep 1", "echo end"],
        )
    });
    let file = format!(
        "on: {{ push: {{}} }}\njobs:\n{}",
        jobs.collect::<Result<String>>()?
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let begun = |run: &tests::api::Run| run.jobs.iter().any(|job| job.state == "passed");
    world.run_when("acme/shop", &sha, "works", begun).await?;
    let before = world
        .history()
        .await?
        .number("select max(id) from deliveries")
        .await?;
    let writing = async {
        let pings = (0..50_usize).map(async |number| {
            let body = format!("{{\"zen\":\"{number}\"}}");
            let headers = world
                .github
                .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
            Ok(world.github.send_raw(&headers, body).await?.status)
        });
        join_all(pings)
            .await
            .into_iter()
            .collect::<Result<Vec<u16>>>()
    };
    let (answers, made) = tokio::join!(writing, works(&world, &["backup", "copy.tar"], "data"));
    made?;
    assert!(
        answers?.iter().all(|status| *status == 202),
        "writers wait for nobody"
    );

    works(&world, &["restore", "copy.tar"], "back").await?;
    let found = works(&world, &["verify"], "back").await?;
    assert!(found.contains("the database is sound"), "{found}");
    let back = History::open(&world.dir().join("back")).await?;
    assert!(back.number("select max(id) from deliveries").await? >= before);
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(
        run.state,
        "passed",
        "the backup has not touched it: {}",
        run.summary()
    );
    Ok(())
}

/// F47
#[tokio::test]
async fn what_ran_when_the_backup_was_made_is_ended_and_not_run_again() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    let two = job("one", "", &["true"])? + &job("two", "needs: [one]", &["true"])?;
    let file = format!("on: {{ push: {{}} }}\njobs:\n{two}");
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let mine = caller.claim().await?;
    works(&world, &["backup", "copy.tar"], "data").await?;
    // The first server goes on and finishes what the backup knows as begun.
    let finished = Report::Finished {
        outcome: Outcome::Passed,
        reason: None,
        exit_code: None,
        outputs: Default::default(),
    };
    caller.report(&mine, finished).await?;
    works(&world, &["restore", "copy.tar"], "back").await?;
    let mut server = restored(&world, "back").await?;
    let back = History::open(&world.dir().join("back")).await?;
    let open = "select count(*) from runs where state in ('waiting', 'queued', 'running')";
    world
        .eventually("no run to be open", SOON, async || {
            ensure!(back.number(open).await? == 0);
            Ok(())
        })
        .await?;
    let reasons = back
        .texts("select reason from jobs order by position")
        .await?;
    assert!(
        reasons
            .iter()
            .all(|why| why.contains("restored from a backup")),
        "{reasons:?}"
    );
    assert_eq!(
        back.number("select max(attempt) from jobs").await?,
        1,
        "nothing ran again"
    );
    let fence = mine.lease.fence.0;
    assert!(
        back.number("select value from counters where name = 'fence'")
            .await?
            > fence + 1000
    );
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_takes_nothing_foreign() -> Result<()> {
    let world = World::start().await?;
    works(&world, &["backup", "copy.tar"], "data").await?;
    let (code, said) = command(&world, &["backup", "copy.tar"], "data").await?;
    assert_eq!(code, STORAGE_REFUSED, "{said}");
    let (code, said) = command(&world, &["restore", "copy.tar"], "data").await?;
    assert_eq!(code, STORAGE_REFUSED, "{said}");
    assert!(said.contains("not overwritten"), "{said}");
    // Cut off before its end: no database, no backup; and a server does not begin anew on it.
    let whole = std::fs::read(world.dir().join("copy.tar"))?;
    std::fs::write(world.dir().join("cut.tar"), &whole[..whole.len() / 2])?;
    let (code, said) = command(&world, &["restore", "cut.tar"], "half").await?;
    assert_eq!(code, STORAGE_REFUSED, "{said}");
    let mut server = world.second_server_on("half", &[])?;
    assert_eq!(server.exit(SOON).await?.code(), Some(STORAGE_REFUSED));
    Ok(())
}

#[tokio::test]
async fn verify_says_which_artifact_and_which_log_are_not_what_was_stored() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    let file = steps(&["true"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let mine = caller.claim().await?;
    caller.log(&mine, 0, b"1 0 o hello\n".to_vec()).await?;
    for (name, bytes) in [("kept", "kept"), ("changed", "before"), ("gone", "gone")] {
        let place = format!("kind=artifact&path={name}");
        caller
            .send(&mine, ("artifact", &place), Bytes::from(bytes))
            .await?;
    }
    let sound = works(&world, &["verify"], "data").await?;
    assert!(sound.contains("3 artifacts were compared"), "{sound}");
    let history = world.history().await?;
    let object = async |query| -> Result<_> {
        let found = history.texts(query).await?;
        let found = found.into_iter().next().context("there is one")?;
        Ok((world.data().join("objects").join(&found), found))
    };
    let (path, changed) = object("select object from artifacts where path = 'changed'").await?;
    std::fs::write(path, "behind")?;
    let (path, gone) = object("select object from artifacts where path = 'gone'").await?;
    std::fs::remove_file(path)?;
    std::fs::write(world.data().join("logs/0/77.1.log"), "1 0 o nobody's\n")?;
    let (code, said) = command(&world, &["verify"], "data").await?;
    let problems: Vec<&str> = said
        .lines()
        .filter_map(|l| l.strip_prefix("PROBLEM: "))
        .collect();
    let mut expected = vec![
        format!("artifact {changed} has other bytes than were stored"),
        format!("artifact {gone} is gone"),
        "log 77.1.log belongs to no attempt of any job".to_owned(),
    ];
    expected.sort();
    let mut problems: Vec<String> = problems.into_iter().map(str::to_owned).collect();
    problems.sort();
    assert_eq!((code, problems), (STORAGE_REFUSED, expected));
    Ok(())
}
