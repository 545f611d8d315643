//! What happens when the App is taken out of a repository: nothing can be fetched or told any more, so
//! its runs end, and say why.

use pipelines::ids::RepoId;
use pipelines::job::Outcome;
use pipelines::run::RunEvent;

use crate::app::App;
use crate::github::payload::Lost;
use crate::progress;
use crate::store::{repos, runs};

/// Stops every run that has not ended, and returns how many there were. Doing it again is harmless.
pub(crate) async fn stop_runs(app: &App, lost: Lost, why: &str) -> anyhow::Result<usize> {
    let db = app.store.reader();
    let repos = match lost {
        Lost::Installation(id) => repos::of_installation(db, id).await?,
        Lost::Repositories(ids) => ids,
    };
    let ids: Vec<i64> = repos.iter().map(|RepoId(id)| *id).collect();
    let open = runs::open_of_repos(db, &serde_json::to_string(&ids)?).await?;
    for run in &open {
        let event = RunEvent::Stop {
            outcome: Outcome::Cancelled,
            reason: format!("no access: {why}"),
        };
        progress::apply(app, *run, event).await?;
    }
    Ok(open.len())
}
