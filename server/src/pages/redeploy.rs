//! `/repos/{owner}/{repo}/environments/{environment}/deploy`: exactly what will happen if this
//! verified release is deployed again? And the lock of an environment.

use askama::Template;
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use pipelines::ids::{DeployNumber, ReleaseNumber};
use pipelines::names::EnvironmentName;
use pipelines::plan::OnFailure;
use serde::Deserialize;

use super::ask::{Ask, missing};
use super::environments::images;
use super::frame::{Frame, Place};
use super::moments::When;
use super::words::{self, Family};
use super::{links, start};
use crate::error::{Failure, PageError};
use crate::intake::StartError;
use crate::intake::redeploy::{Choice, Redeploy, redeploy, set_lock, work};
use crate::store::redeploys::Verified;
use crate::store::repos::Repo;
use crate::store::views::deploys;

#[derive(Template)]
#[template(path = "redeploy.html")]
struct Confirm {
    f: Frame,
    name: String,
    own: String,
    /// What the environment runs now, and what it will run.
    from: Option<Side>,
    to: Side,
    if_it_fails: String,
    /// The newest deploy: what the decision is made on.
    seen: i64,
    others: Vec<(i64, String, String)>,
}

/// A release, as it is compared.
struct Side {
    release: i64,
    short: String,
    title: String,
    run: (i64, String),
    at: When,
    images: Vec<(String, String)>,
}

type EnvironmentPath = Path<(String, String, String)>;

async fn place(
    ask: &Ask,
    (owner, name, environment): (String, String, String),
) -> Result<(Repo, EnvironmentName), PageError> {
    let repo = start::find(ask, &(owner, name)).await?;
    let missing = |_| missing(format!("{} has no environment {environment}", repo.name));
    let environment = environment.parse().map_err(missing)?;
    Ok((repo, environment))
}

/// Answers `GET …/deploy?release=`.
pub(crate) async fn page(ask: Ask, Path(path): EnvironmentPath) -> Result<Response, PageError> {
    let (repo, environment) = place(&ask, path).await?;
    let choice = Choice::read(&ask.app, &repo, &environment).await;
    let choice = choice.map_err(refused)?;
    let release = ask.number("release").map(ReleaseNumber);
    let to = choice.find(release).map_err(refused)?;
    let live = deploys::live(ask.reader(), repo.id, environment.as_str()).await?;
    let (owner, name) = (repo.name.owner(), repo.name.name());
    let own = links::environment(owner, name, environment.as_str());
    let full = repo.name.to_string();
    let title = format!("Deploy release {} · {environment}", to.release);
    let f = ask
        .frame(Place::Environments, Family::Neutral, &title)
        .under(&[
            ("Environments", "/environments".into()),
            (&full, links::repo(owner, name)),
            (environment.as_str(), own.clone()),
        ]);
    let is_other = live
        .as_ref()
        .is_some_and(|live| live.release != to.release.0);
    let if_it_fails = match work(to).map_err(refused)?.on_failure {
        OnFailure::Hold => format!("it stays: {environment} says `on_failure: hold`"),
        OnFailure::Rollback if is_other => {
            format!("{environment} returns to what it has verified last")
        }
        OnFailure::Rollback => "the last verified release before it is applied again".to_owned(),
    };
    let page = Confirm {
        f,
        if_it_fails,
        from: live.map(|live| Side {
            release: live.release,
            short: links::short(&live.commit_sha).to_owned(),
            title: live.title.clone(),
            run: (live.run, links::run(owner, name, live.run)),
            at: live.finished_at.unwrap_or(live.created_at).into(),
            images: images(&live.images),
        }),
        to: side(&repo, to),
        seen: choice.newest.0,
        others: choice
            .verified
            .iter()
            .filter(|one| one.release != to.release)
            .map(|one| other(&own, one))
            .collect(),
        name: environment.to_string(),
        own,
    };
    ask.show(&page)
}

fn side(repo: &Repo, one: &Verified) -> Side {
    let run = links::run(repo.name.owner(), repo.name.name(), one.run.0);
    Side {
        release: one.release.0,
        short: one.commit.short().to_owned(),
        title: one.title.clone(),
        run: (one.run.0, run),
        at: When(one.at),
        images: images(&one.images),
    }
}

fn other(own: &str, one: &Verified) -> (i64, String, String) {
    let release = one.release.to_string();
    let href = links::query(&format!("{own}/deploy"), &[("release", &release)]);
    let words = format!("{} {}", one.commit.short(), one.title);
    (one.release.0, href, words)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    reason: String,
    release: Option<i64>,
    seen: Option<i64>,
    /// A ticked box.
    lock: Option<String>,
}

/// Answers `POST …/deploy`: starts it, and shows its run.
pub(crate) async fn start(
    ask: Ask,
    Path(path): EnvironmentPath,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    ask.viewer.check(&sent.csrf)?;
    let (repo, environment) = place(&ask, path).await?;
    let wanted = Redeploy {
        environment: &environment,
        release: sent.release.map(ReleaseNumber),
        seen: sent.seen.map(DeployNumber),
        reason: &sent.reason,
        locks: sent.lock.is_some(),
    };
    let number = redeploy(&ask.app, &repo, wanted, &ask.viewer.user).await;
    let number = number.map_err(refused)?;
    let run = links::run(repo.name.owner(), repo.name.name(), number.0);
    Ok(Redirect::to(&run).into_response())
}

/// Answers `POST …/lock`.
pub(crate) async fn lock(
    ask: Ask,
    Path(path): EnvironmentPath,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    turn(&ask, path, &sent, Some(sent.reason.as_str())).await
}

/// Answers `POST …/unlock`.
pub(crate) async fn unlock(
    ask: Ask,
    Path(path): EnvironmentPath,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    turn(&ask, path, &sent, None).await
}

async fn turn(
    ask: &Ask,
    path: (String, String, String),
    sent: &Sent,
    reason: Option<&str>,
) -> Result<Response, PageError> {
    ask.viewer.check(&sent.csrf)?;
    let (repo, environment) = place(ask, path).await?;
    let done = set_lock(&ask.app, &repo, &environment, reason, &ask.viewer.user).await;
    done.map_err(refused)?;
    let (owner, name) = (repo.name.owner(), repo.name.name());
    let own = links::environment(owner, name, environment.as_str());
    Ok(Redirect::to(&own).into_response())
}

fn refused(error: StartError) -> PageError {
    PageError(match error {
        StartError::NotFound(_) => Failure::not_found(error.to_string()),
        StartError::Fault(error) => Failure::Internal(error),
        StartError::Refused(_) | StartError::Inputs(_) | StartError::GitHub(_) => {
            let hint = "nothing was changed; look at the environment again";
            Failure::refused(StatusCode::CONFLICT, error.to_string(), hint)
        }
    })
}
