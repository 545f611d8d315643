//! The secrets of a job: asked for when the first step or build needs one, hidden in its log from
//! then on, and forgotten with it.

use std::collections::BTreeMap;
use std::time::Duration;

use pipelines::names::SecretName;
use pipelines::wire::AssignedWork;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::client::{CallError, retry};
use crate::engine::StepSecret;
use crate::execute::Job;
use crate::logs::StepLog;
use crate::logs::mask::WORD_MIN;
use crate::report::Finish;

/// How long the server may be unable to give the secrets.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a job may have of the secrets its work names.
#[derive(Default)]
pub(crate) struct Vault {
    content: OnceCell<Content>,
}

struct Content {
    values: BTreeMap<SecretName, SecretString>,
    withheld: BTreeMap<SecretName, String>,
}

impl Vault {
    /// Hides the job's secrets, if any of its steps has one: after a restart this comes before its log
    /// goes on, whichever step it goes on with.
    pub(crate) async fn hide(&self, job: &Job<'_>) -> Result<(), Finish> {
        let AssignedWork::Steps(work) = &job.assignment.work else {
            return Ok(());
        };
        if work.steps.iter().all(|step| step.secrets.is_empty()) {
            return Ok(());
        }
        self.content.get_or_try_init(|| ask(job)).await.map(|_| ())
    }

    /// The secrets of these names; those that are withheld are left out, and `log` says why.
    pub(crate) async fn take(
        &self,
        job: &Job<'_>,
        names: &[SecretName],
        log: &StepLog,
    ) -> Result<Vec<StepSecret>, Finish> {
        let mut found = Vec::new();
        if names.is_empty() {
            return Ok(found);
        }
        let content = self.content.get_or_try_init(|| ask(job)).await?;
        for name in names {
            if let Some(value) = content.values.get(name) {
                if value.expose_secret().chars().count() < WORD_MIN {
                    let note = format!(
                        "the secret `{name}` has fewer than {WORD_MIN} characters: \
                         it is not hidden in this log"
                    );
                    log.note_once(&note).await;
                }
                found.push(StepSecret {
                    name: name.clone(),
                    value: value.clone(),
                });
            } else if let Some(reason) = content.withheld.get(name) {
                // The server's sentence names the secret.
                log.note_once(&format!("{reason}; this goes on without it"))
                    .await;
            } else {
                let text = format!("the server did not give the secret `{name}`");
                return Err(Finish::infrastructure(text));
            }
        }
        Ok(found)
    }
}

async fn ask(job: &Job<'_>) -> Result<Content, Finish> {
    let asked = retry(job.stop.token(), || job.desk.secrets());
    let secrets = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        // One more call, for its words.
        Err(_) => job.desk.secrets().await,
    };
    let secrets = secrets.map_err(|error| refused(job, error))?;
    let values = secrets.values.into_iter();
    // Hidden all at once: one step may print what another has.
    let values: BTreeMap<_, SecretString> =
        values.map(|(name, value)| (name, value.into())).collect();
    let (masks, shown) = (job.log.masks().clone(), values.clone());
    // Seconds for the largest ones.
    let added = tokio::task::spawn_blocking(move || {
        masks.add_all(shown.values().map(ExposeSecret::expose_secret));
    });
    added.await.map_err(|panic| {
        Finish::infrastructure(format!("the secrets cannot be hidden: {panic}"))
    })?;
    Ok(Content {
        values,
        withheld: secrets.withheld,
    })
}

fn refused(job: &Job<'_>, error: CallError) -> Finish {
    if job.stop.token().is_cancelled() {
        return Finish::stopped();
    }
    match error {
        // The server's own sentence: the pipeline names what it may not have.
        CallError::Refused {
            status: 400..=499,
            message,
        } => Finish::failed(message),
        CallError::Refused { .. }
        | CallError::Stale(_)
        | CallError::Unauthorized(_)
        | CallError::Upgrade(_)
        | CallError::Unreachable(_) => {
            Finish::infrastructure(format!("the server does not give the secrets: {error}"))
        }
    }
}
