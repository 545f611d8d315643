//! A run and its rollouts in the terminal: one line for each change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::api::{Api, Run};
use crate::eventually::eventually;

/// The longest that one push may take to production.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// What was last printed.
struct Screen {
    began: Instant,
    lines: BTreeMap<String, String>,
    next_deploy: u64,
}

/// Prints what happens to the run of a commit until it has passed.
pub(super) async fn follow(api: &Api, repository: &str, sha: &str) -> Result<Run> {
    let mut screen = Screen {
        began: Instant::now(),
        lines: BTreeMap::new(),
        next_deploy: 1,
    };
    let before = api.runs(repository).await.unwrap_or_default().len();
    // Deploys of earlier runs are no news.
    while before > 0 && api.deploy(repository, screen.next_deploy).await.is_ok() {
        let former = api.deploy(repository, screen.next_deploy).await?;
        if !crate::api::is_final(&former.state) {
            break;
        }
        screen.next_deploy += 1;
    }
    let run = eventually("the run to end", RUN_LIMIT, async || {
        let runs = api.runs(repository).await?;
        let run = runs
            .into_iter()
            .find(|run| run.commit == sha)
            .context("there is no run yet")?;
        let run = api.run(repository, run.number).await?;
        screen.show_jobs(&run);
        screen.show_deploys(api, repository).await;
        ensure!(run.is_final(), "{}", run.summary());
        Ok(run)
    })
    .await?;
    ensure!(run.state == "passed", "{}", run.summary());
    screen.line("run", &format!("run {}", run.number), &run.state);
    Ok(run)
}

impl Screen {
    fn show_jobs(&mut self, run: &Run) {
        for job in &run.jobs {
            if matches!(job.state.as_str(), "waiting" | "queued") {
                continue;
            }
            let text = match &job.reason {
                Some(reason) => format!("{}: {reason}", job.state),
                None => job.state.clone(),
            };
            self.line(&format!("job {}", job.name), &job.name, &text);
        }
    }

    async fn show_deploys(&mut self, api: &Api, repository: &str) {
        // One at a time: production waits for staging.
        let Ok(deploy) = api.deploy(repository, self.next_deploy).await else {
            return;
        };
        // The last word is the job's, which says the same.
        let last = crate::api::is_final(&deploy.state);
        if let (Some(verdict), false) = (&deploy.verdict, last) {
            let key = format!("deploy {}", deploy.number);
            self.line(&key, &format!("  {}", deploy.environment), verdict);
        }
        if last {
            self.next_deploy += 1;
        }
    }

    fn line(&mut self, key: &str, name: &str, text: &str) {
        if self.lines.get(key).is_none_or(|last| last != text) {
            println!(
                "  {:>6.1} s  {name:<12} {text}",
                self.began.elapsed().as_secs_f64()
            );
            self.lines.insert(key.to_owned(), text.to_owned());
        }
    }
}
