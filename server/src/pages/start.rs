//! `/repos/{owner}/{repo}/start`: start a pipeline by hand, with what it asks for.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Form, Path};
use axum::response::{IntoResponse, Redirect, Response};
use pipelines::definition::{Input, InputKind};
use pipelines::names::{BranchName, PipelineName, RepoName};

use super::ask::{Ask, missing};
use super::frame::{Frame, Place};
use super::links;
use super::words::{self, Family};
use crate::error::PageError;
use crate::intake::{self, StartError, Startable, Wanted};
use crate::store::audit;
use crate::store::repos::{self, Repo};

#[derive(Template)]
#[template(path = "start.html")]
struct Start {
    f: Frame,
    repo: String,
    href: String,
    branch: String,
    /// Why nothing can be started, or was not.
    refused: Option<String>,
    pipelines: Vec<Pipeline>,
}

/// A pipeline and its form.
struct Pipeline {
    name: String,
    inputs: Vec<Field>,
}

/// One thing it asks for.
struct Field {
    name: String,
    description: String,
    required: bool,
    value: String,
    /// `text`, `number`, or a choice of these values.
    kind: &'static str,
    options: Vec<(String, bool)>,
}

type RepoPath = Path<(String, String)>;

/// Answers `GET /repos/{owner}/{repo}/start`: the pipelines of `?branch=` that can be started.
pub(crate) async fn page(ask: Ask, Path(path): RepoPath) -> Result<Response, PageError> {
    let repo = find(&ask, &path).await?;
    let branch = ask.get("branch").unwrap_or(repo.default_branch.as_str());
    let branch = branch.to_owned();
    show(&ask, &repo, &branch, (None, &BTreeMap::new())).await
}

/// Answers `POST /repos/{owner}/{repo}/start`: starts it, or shows the form again with the reason.
pub(crate) async fn start(
    ask: Ask,
    Path(path): RepoPath,
    Form(sent): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let field = |name: &str| {
        let found = sent.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    };
    ask.viewer.check(field("csrf"))?;
    let repo = find(&ask, &path).await?;
    let given = sent.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("input.")?;
        Some((name.to_owned(), value.clone()))
    });
    let given: BTreeMap<String, String> = given.filter(|(_, value)| !value.is_empty()).collect();
    let branch = field("branch").to_owned();
    let started = match (
        branch.parse::<BranchName>(),
        field("pipeline").parse::<PipelineName>(),
    ) {
        (Ok(branch), Ok(pipeline)) => {
            let wanted = Wanted {
                branch: Some(&branch),
                pipeline: &pipeline,
                inputs: &given,
            };
            intake::start(&ask.app, &repo.name, wanted, &ask.viewer.user).await
        }
        (Err(error), _) | (_, Err(error)) => Err(StartError::Refused(error.to_string())),
    };
    let number = match started {
        Ok(number) => number,
        Err(StartError::Fault(error)) => return Err(PageError(error.into())),
        Err(error) => {
            let refused = Some(error.to_string());
            return show(&ask, &repo, &branch, (refused, &given)).await;
        }
    };
    let mut tx = ask.app.store.begin().await?;
    let subject = format!("{}#{number}", repo.name);
    let entry = (ask.viewer.user.as_str(), "run.start", subject.as_str());
    audit::record(&mut tx, ask.now, entry, "").await?;
    tx.commit().await?;
    let run = links::run(repo.name.owner(), repo.name.name(), number.0);
    Ok(Redirect::to(&run).into_response())
}

pub(super) async fn find(ask: &Ask, (owner, name): &(String, String)) -> Result<Repo, PageError> {
    let row = ask.repo(owner, name).await?;
    let missing = || missing("there is no such repository");
    let name: RepoName = format!("{}/{}", row.owner, row.name)
        .parse()
        .map_err(|_| missing())?;
    let repo = repos::find_by_name(ask.reader(), &name).await?;
    repo.ok_or_else(missing)
}

async fn show(
    ask: &Ask,
    repo: &Repo,
    branch: &str,
    (refused, given): (Option<String>, &BTreeMap<String, String>),
) -> Result<Response, PageError> {
    let startable = match branch.parse::<BranchName>() {
        Ok(branch) => intake::startable(&ask.app, repo, &branch).await,
        Err(error) => Err(StartError::Refused(error.to_string())),
    };
    let (startable, why) = match startable {
        Ok(startable) => (startable, None),
        Err(StartError::Fault(error)) => return Err(PageError(error.into())),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let full = repo.name.to_string();
    let href = links::repo(repo.name.owner(), repo.name.name());
    let page = Start {
        f: ask
            .frame(
                Place::Overview,
                Family::Neutral,
                &format!("Start a run · {full}"),
            )
            .under(&[("Overview", "/".into()), (&full, href.clone())]),
        href,
        branch: branch.to_owned(),
        refused: refused.or(why),
        pipelines: startable.iter().map(|one| pipeline(one, given)).collect(),
        repo: full.clone(),
    };
    ask.show(&page)
}

fn pipeline(startable: &Startable, given: &BTreeMap<String, String>) -> Pipeline {
    let field = |input: &Input| {
        let default = input.default.clone().unwrap_or_default();
        let value = given.get(&input.name).cloned().unwrap_or(default);
        let option = |text: &str| (text.to_owned(), text == value);
        let (kind, options) = match &input.kind {
            InputKind::Text => ("text", Vec::new()),
            InputKind::Number => ("number", Vec::new()),
            InputKind::Boolean => ("choice", ["true", "false"].map(option).to_vec()),
            InputKind::Choice(all) => ("choice", all.iter().map(|one| option(one)).collect()),
        };
        Field {
            name: input.name.clone(),
            description: input.description.clone().unwrap_or_default(),
            required: input.required && input.default.is_none(),
            value,
            kind,
            options,
        }
    };
    Pipeline {
        name: startable.pipeline.to_string(),
        inputs: startable.inputs.iter().map(field).collect(),
    }
}
