//! Pull requests over the API, and in stories.

use anyhow::{Context, Result, bail};
use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Name, Paged, Params, Shared};
use super::commits::{commit_json, file_json};
use super::git::Git;
use super::hub::{Hub, lock};
use super::pull_state::{Pull, PullStatus, full_pull_json, pull_json};
use super::refs::Hook;
use super::repository::Repository;
use super::state::RepoRecord;
use super::webhooks::Delivery;

type Numbered = (String, String, u64);

const PULLS: Need = Need::read("pull_requests");

fn find(
    hub: &Hub,
    caller: &Caller,
    (owner, name, number): &Numbered,
) -> Answer<(RepoRecord, Git, Pull)> {
    let (repo, git) = hub.open(caller, (owner, name), PULLS)?;
    let pull = hub.pull(repo.id, *number).ok_or_else(ApiError::not_found)?;
    Ok((repo, git, pull))
}

/// `GET …/pulls?state=open&head=owner:branch&base=main`
pub(super) async fn list(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, _) = hub.open(&caller, (&owner, &name), PULLS)?;
    let asked = |name: &str| params.get(name).map(String::as_str);
    let state = asked("state").unwrap_or("open");
    let wanted = |pull: &&Pull| {
        pull.base_repository == repo.id
            && (state == "all" || (state == "open") == pull.is_open())
            && asked("base").is_none_or(|base| base == pull.base)
    };
    let mut all: Vec<Pull> = lock(&hub.state)
        .pulls
        .iter()
        .filter(wanted)
        .cloned()
        .collect();
    if let Some(head) = asked("head") {
        all.retain(|pull| {
            let owner = hub
                .repo(pull.head_repository)
                .map(|repo| repo.owner)
                .unwrap_or_default();
            head == format!("{owner}:{}", pull.head)
        });
    }
    all.reverse();
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|pull| pull_json(&hub, &repo, pull))
            .collect()
    }))
}

/// `GET …/pulls/{number}`
pub(super) async fn show(
    State(hub): Shared,
    caller: Caller,
    Path(path): Path<Numbered>,
) -> Answer<Json<Value>> {
    let (repo, _, pull) = find(&hub, &caller, &path)?;
    Ok(Json(full_pull_json(&hub, &repo, &pull).await?))
}

/// `GET …/pulls/{number}/files`: never more than 3,000, however many pages one asks for.
pub(super) async fn files(
    State(hub): Shared,
    caller: Caller,
    Path(path): Path<Numbered>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, git, pull) = find(&hub, &caller, &path)?;
    let start = git
        .text(&["merge-base", &pull.base_sha, &pull.head_sha])
        .await?;
    let mut all = git.changes(&start, &pull.head_sha).await?;
    all.truncate(3000);
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|file| file_json(&hub, &repo, &pull.head_sha, file))
            .collect()
    }))
}

/// `GET …/pulls/{number}/commits`
pub(super) async fn commits(
    State(hub): Shared,
    caller: Caller,
    Path(path): Path<Numbered>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, git, pull) = find(&hub, &caller, &path)?;
    let range = format!("{}..{}", pull.base_sha, pull.head_sha);
    let all = git
        .commits(&["--reverse", "--max-count=250", &range, "--"])
        .await?;
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|one| commit_json(&hub, &repo, one))
            .collect()
    }))
}

/// A pull request in a story. Pushing to its branch synchronizes it, with the event.
#[derive(Clone, Debug)]
pub struct PullRequest {
    repository: Repository,
    number: u64,
    /// The `pull_request` event that opened it, with the answer; none where the App hears nothing.
    pub opened: Option<Delivery>,
}

impl PullRequest {
    pub(super) fn new(repository: Repository, number: u64, opened: Option<Delivery>) -> Self {
        Self {
            repository,
            number,
            opened,
        }
    }

    /// Its number in the repository.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn pull(&self) -> Result<Pull> {
        let pull = self.hub().pull(self.repository.id(), self.number);
        pull.context("a pull request is never forgotten")
    }

    fn hub(&self) -> &std::sync::Arc<Hub> {
        &self.repository.github.hub
    }

    /// The commit its branch is at.
    pub fn head_sha(&self) -> Result<String> {
        Ok(self.pull()?.head_sha)
    }

    /// The commit of the trial merge; none while there are conflicts.
    pub fn merge_sha(&self) -> Result<Option<String>> {
        Ok(self.pull()?.merge_sha)
    }

    /// Closes it without merging.
    pub async fn close(&self) -> Result<Vec<Delivery>> {
        let pull = self.pull()?;
        self.hub().end_pull(pull.id, PullStatus::Closed);
        self.tell(&pull, json!({ "action": "closed" })).await
    }

    /// Opens it again.
    pub async fn reopen(&self) -> Result<Vec<Delivery>> {
        let pull = self.pull()?;
        self.hub().change_pull(pull.id, |pull| {
            pull.status = PullStatus::Open;
            pull.closed_at = None;
        });
        self.tell(&pull, json!({ "action": "reopened" })).await
    }

    /// Gives it another title: an event that should start nothing.
    pub async fn retitle(&self, title: &str) -> Result<Vec<Delivery>> {
        let pull = self.pull()?;
        let former = pull.title.clone();
        self.hub()
            .change_pull(pull.id, |pull| pull.title = title.to_owned());
        self.tell(
            &pull,
            json!({ "action": "edited", "changes": { "title": { "from": former } } }),
        )
        .await
    }

    /// Puts a label on it.
    pub async fn label(&self, label: &str) -> Result<Vec<Delivery>> {
        let pull = self.pull()?;
        let label = json!({ "id": 1, "name": label, "color": "ededed", "default": false });
        self.tell(&pull, json!({ "action": "labeled", "label": label }))
            .await
    }

    /// Merges it with a merge commit: a push to the base, and then it is closed. Gives the merge and
    /// the deliveries.
    pub async fn merge(&self) -> Result<(String, Vec<Delivery>)> {
        let (hub, pull) = (self.hub(), self.pull()?);
        if !pull.is_open() {
            bail!("Pull Request is not mergeable: it is closed");
        }
        let _one_push = hub.push_lock(pull.base_repository).await;
        let git = hub.git(pull.base_repository);
        let before = git.refs().await?;
        let base = git
            .branch(&pull.base)
            .await
            .context("the base branch is gone")?;
        let merge = hub
            .try_merge(&pull, [&base, &pull.head_sha], "Merge pull request:")
            .await?;
        let merge = merge.context("Pull Request is not mergeable: there are conflicts")?;
        git.run(&[
            "update-ref",
            &format!("refs/heads/{}", pull.base),
            &merge,
            &base,
        ])
        .await?;
        let sent = hub
            .after_push(pull.base_repository, &before, &pull.author, Hook::Fire)
            .await?;
        Ok((merge, self.repository.github.answered(sent).await))
    }

    async fn tell(&self, pull: &Pull, payload: Value) -> Result<Vec<Delivery>> {
        let (hub, base) = (self.hub(), self.hub().repo(pull.base_repository)?);
        let sent = hub
            .pull_event(&base, pull.id, &pull.author, payload)
            .await?;
        Ok(self.repository.github.answered(sent).await)
    }
}
