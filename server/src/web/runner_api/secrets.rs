//! The secrets of a job: those its stored work names, as far as the rules allow. The runner cannot
//! ask for others.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use pipelines::ids::JobId;
use pipelines::names::SecretName;
use pipelines::wire::{Secrets, SecretsCall};
use secrecy::{ExposeSecret, SecretString};

use super::{Body, Caller, held, lease_of, taken_away};
use crate::app::App;
use crate::error::{ApiError, Failure};
use crate::secrets::rules::{forbidden, named, withheld};
use crate::secrets::{Key, KeyError, Place};
use crate::store::secrets::{self, StoredSecret};
use crate::store::standing::{self, Standing};

pub(super) async fn give(
    State(app): State<App>,
    Path(job): Path<JobId>,
    caller: Caller,
    Body(call): Body<SecretsCall>,
) -> Result<Response, ApiError> {
    let lease = lease_of(&caller, call.lease);
    held(app.store.reader(), job, lease).await?;
    let standing = standing::find(app.store.reader(), job).await?;
    let standing = standing.ok_or_else(taken_away)?;
    let given = collect(&app, &standing).await?;
    // Looked at again: opening may have taken a while, and a late reader gets nothing.
    held(app.store.reader(), job, lease).await?;
    let names: Vec<_> = given.values.keys().map(SecretName::as_str).collect();
    if !names.is_empty() {
        let (attempt, runner) = (lease.attempt.0, caller.name);
        let names = names.join(", ");
        tracing::info!(
            job = job.0,
            attempt,
            runner,
            names,
            "secrets were given to a job"
        );
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(given)).into_response())
}

async fn collect(app: &App, standing: &Standing) -> Result<Secrets, Failure> {
    let (names, mut given) = (named(&standing.work), Secrets::default());
    if let Some(reason) = withheld(standing) {
        let told = names
            .into_iter()
            .map(|name| (name.clone(), format!("`{name}` is withheld: {reason}")));
        given.withheld = told.collect();
        return Ok(given);
    }
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        match secrets::find(app.store.reader(), standing.repo, name).await? {
            None => problems.push((
                name,
                format!("secret `{name}` is not set for {}", standing.repository),
            )),
            Some(secret) => match forbidden(&secret.rules, standing) {
                Some(rule) => problems.push((name, format!("secret `{name}` {rule}"))),
                None => found.push((name, secret)),
            },
        }
    }
    if let Some((first, _)) = problems.first() {
        return Err(refused(first, &problems, standing));
    }
    if found.is_empty() {
        return Ok(given);
    }
    let path = app.config.secret_key_file.clone();
    let key = tokio::task::spawn_blocking(move || Key::read(&path)).await;
    let key = key.map_err(anyhow::Error::from)?.map_err(locked)?;
    for (name, secret) in found {
        let value = open(&key, name, &secret)?;
        given
            .values
            .insert(name.clone(), value.expose_secret().to_owned());
    }
    Ok(given)
}

fn open(key: &Key, name: &SecretName, secret: &StoredSecret) -> Result<SecretString, Failure> {
    let place = Place {
        repo: secret.repo,
        name: name.as_str(),
    };
    key.open(place, &secret.sealed).map_err(locked)
}

/// One sentence for all that is missing, so that its author need not come back for each.
fn refused(first: &SecretName, problems: &[(&SecretName, String)], standing: &Standing) -> Failure {
    let words: Vec<_> = problems.iter().map(|(_, words)| words.as_str()).collect();
    let hint = format!(
        "an administrator sets it, and who may have it: `seaworthy admin secret set {first} --repo {} < FILE`",
        standing.repository
    );
    Failure::refused(StatusCode::UNPROCESSABLE_ENTITY, words.join("; "), hint)
}

/// Only an administrator can help, and the job cannot go on without.
fn locked(error: KeyError) -> Failure {
    tracing::error!(%error, "secrets cannot be opened");
    Failure::refused(
        StatusCode::UNPROCESSABLE_ENTITY,
        "the server cannot open its secrets",
        "an administrator finds the reason in the server's log",
    )
}
