//! Secrets of the real program: in by standard input, out to the jobs that may have them, and
//! nowhere else.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use pipelines::wire::Secrets;
use tests::caller::Caller;
use tests::program;
use tests::world::World;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::files::FILE;

const CANARY: &str = "canary-4b1d-55e7";

/// A pipeline whose one step names a secret.
const PIPELINE: &str = "on: { push: {} }\njobs:\n  work:\n    image: any\n    steps:\n      \
                        - { name: publish, run: ./publish, secrets: [npm_token] }\n";

/// `seaworthy admin secret …`, with this on standard input: exit code, and what it said.
async fn secret(world: &World, words: &[&str], input: &str) -> Result<(Option<i32>, String)> {
    let mut child = Command::new(program::seaworthy()?)
        .args(["admin", "secret"])
        .args(words)
        .arg("--data")
        .arg(world.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut pipe = child.stdin.take().context("there is a pipe")?;
    // A refusal may come before everything was read.
    let _ = pipe.write_all(input.as_bytes()).await;
    drop(pipe);
    let done = child.wait_with_output().await?;
    let said = [done.stdout, done.stderr].concat();
    Ok((
        done.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// The files below a folder that hold this text.
fn holding(folder: &Path, needle: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(holding(&path, needle)?);
        } else if std::fs::read(&path)?
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

/// F51
#[tokio::test]
async fn a_secret_reaches_the_job_that_names_it_and_no_file_or_log() -> Result<()> {
    let world = World::start_with(&[("RUST_LOG", "trace")]).await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    repository
        .commit("main", "Begin", &[(FILE, PIPELINE)])
        .await?;
    let first = caller.claim().await?;
    let Err((status, told)) = caller.secrets(&first).await? else {
        anyhow::bail!("a secret that is not set was given");
    };
    ensure!(
        status == 422 && told.contains("seaworthy admin secret set npm_token --repo acme/shop"),
        "{told}"
    );
    let words = [
        "set",
        "npm_token",
        "--repo",
        "acme/shop",
        "--branch",
        "main",
        "--kind",
        "steps",
    ];
    let (code, said) = secret(&world, &words, &format!("{CANARY}\n")).await?;
    ensure!(
        code == Some(0) && !said.contains(CANARY),
        "{code:?}: {said}"
    );
    // The server that is running sees it at once.
    let Ok(Secrets { values, .. }) = caller.secrets(&first).await? else {
        anyhow::bail!("the secret is not given");
    };
    let value = values.values().next().context("there is one")?;
    ensure!(value == CANARY, "it lost or gained something");
    repository
        .commit("topic", "Try", &[(FILE, PIPELINE)])
        .await?;
    let second = caller.claim().await?;
    let Err((422, told)) = caller.secrets(&second).await? else {
        anyhow::bail!("another branch got it");
    };
    ensure!(told.contains("is only for the branches main"), "{told}");
    let (_, listed) = secret(&world, &["list"], "").await?;
    ensure!(
        listed.starts_with("npm_token  --repo acme/shop --branch main --kind steps  set "),
        "{listed}"
    );
    ensure!(!listed.contains(CANARY));
    ensure!(
        holding(world.dir(), "npm_token")?.len() > 1,
        "the search finds nothing at all"
    );
    ensure!(
        holding(world.dir(), CANARY)?.is_empty(),
        "{:?}",
        holding(world.dir(), CANARY)?
    );
    Ok(())
}

#[tokio::test]
async fn a_value_is_one_line_without_its_end_or_several_as_they_are() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    repository
        .commit("main", "Begin", &[(FILE, PIPELINE)])
        .await?;
    let mine = caller.claim().await?;
    for (given, kept) in [
        ("one\n", "one"),
        ("one\r\n", "one"),
        ("one", "one"),
        ("a\nb\n", "a\nb\n"),
    ] {
        let (code, said) = secret(&world, &["set", "npm_token"], given).await?;
        ensure!(code == Some(0), "{said}");
        let Ok(Secrets { values, .. }) = caller.secrets(&mine).await? else {
            anyhow::bail!("the secret is not given");
        };
        let value = values.values().next().context("there is one")?;
        ensure!(value == kept, "{given:?} became {value:?}");
    }
    for (words, input) in [
        (["set", "Npm-Token"].as_slice(), "v"),
        (&["set", "npm_token"], ""),
        (&["set", "npm_token", "--kind", "lint"], "v"),
        (&["set", "npm_token", "--repo", "acme/none"], "v"),
        (&["set", "npm_token"], &"x".repeat(70_000)),
    ] {
        let (code, said) = secret(&world, words, input).await?;
        ensure!(code == Some(2), "{words:?}: {code:?}: {said}");
    }
    Ok(())
}
