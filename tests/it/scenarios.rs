//! `tests/scenarios`: a pipeline file and the outcome, in words. A new case is no code.
//!
//! The steps are played by the scripted engine, which knows `echo`, `cat`, `sleep` and `exit`. With
//! `UPDATE_EXPECTED=1` the outcomes are written instead of compared: read the difference.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tests::api::Run;
use tests::runners::RunnerOptions;
use tests::world::World;

fn scenarios() -> Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("no {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `job: state: reason`, a line for each, after the run's own.
fn outcome(run: &Run) -> String {
    let line = |name: &str, state: &str, reason: Option<&String>| match reason {
        Some(reason) => format!("{name}: {state}: {reason}\n"),
        None => format!("{name}: {state}\n"),
    };
    let mut text = line("run", &run.state, run.reason.as_ref());
    for job in &run.jobs {
        text.push_str(&line(&job.name, &job.state, job.reason.as_ref()));
    }
    text
}

#[tokio::test]
async fn every_scenario_ends_as_it_is_written() -> Result<()> {
    let world = World::start().await?;
    let _runner = world
        .runner_with("scripted", &[], RunnerOptions::scripted())
        .await?;
    let files = scenarios()?;
    ensure!(!files.is_empty(), "there are no scenarios");
    let mut wrong = String::new();
    for file in files {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .replace('_', "-");
        let repository = world.repository(&format!("scenarios/{name}")).await?;
        let text = std::fs::read_to_string(&file)?;
        let sha = repository
            .commit("main", "Begin", &[(".seaworthy/ci.yml", &text)])
            .await?;
        let run = world.run_of(&format!("scenarios/{name}"), &sha).await?;
        let (told, expected) = (outcome(&run), file.with_extension("expected"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &told)?;
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if wanted != told {
            wrong.push_str(&format!("{name} ended\n{told}instead of\n{wanted}\n"));
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
