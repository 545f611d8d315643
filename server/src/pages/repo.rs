//! `/repos/{owner}/{repo}`: how is this repository doing, and where is my run?

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use pipelines::ids::RepoId;
use pipelines::job::State;

use super::ask::Ask;
use super::frame::{Frame, Place};
use super::lines::RunLine;
use super::links;
use super::words::{self, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::runs::{self, RunFilter};

/// Rows of a page.
const ROWS: i64 = 30;
/// Results in the row of shapes.
const SPARK: i64 = 30;

#[derive(Template)]
#[template(path = "repo.html")]
struct Repo {
    f: Frame,
    owner: String,
    name: String,
    default_branch: String,
    /// How the default branch is; none before its first decided run.
    status: Option<Status>,
    spark: Vec<RunLine>,
    runs: Vec<RunLine>,
    filter: Filter,
    chips: Vec<(String, String)>,
    older: Option<String>,
    newest: Option<String>,
    states: Vec<(&'static str, &'static str, bool)>,
    events: Vec<(&'static str, &'static str, bool)>,
}

/// What the reader asked for, as they typed it.
#[derive(Default)]
struct Filter {
    branch: String,
    state: String,
    event: String,
    author: String,
    before: String,
}

impl Filter {
    fn of(ask: &Ask) -> Self {
        let text = |name| ask.get(name).unwrap_or_default().to_owned();
        Self {
            branch: text("branch"),
            state: text("state"),
            event: text("event"),
            author: text("author"),
            before: text("before"),
        }
    }

    fn rows(&self) -> RunFilter {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RunFilter {
            branch: some(&self.branch),
            state: some(&self.state),
            event: some(&self.event),
            author: some(&self.author),
            before: self.before.parse().ok(),
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 4] {
        [
            ("branch", &self.branch),
            ("state", &self.state),
            ("event", &self.event),
            ("author", &self.author),
        ]
    }

    /// The list with these filters, from this cursor on.
    fn address(&self, list: &str, before: &str) -> String {
        let [branch, state, event, author] = self.pairs();
        links::query(list, &[branch, state, event, author, ("before", before)])
    }

    /// Each filter in words, with the address of the list without it.
    fn chips(&self, list: &str) -> Vec<(String, String)> {
        let set = self
            .pairs()
            .into_iter()
            .filter(|(_, value)| !value.is_empty());
        let chip = |(name, value): (&'static str, &str)| {
            let rest: Vec<_> = self
                .pairs()
                .into_iter()
                .filter(|(n, _)| *n != name)
                .collect();
            (format!("{name}: {value}"), links::query(list, &rest))
        };
        set.map(chip).collect()
    }
}

/// Answers `GET /repos/{owner}/{repo}`.
pub(crate) async fn page(
    ask: Ask,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let repo = ask.repo(&owner, &name).await?;
    let (id, list) = (RepoId(repo.id), links::repo(&repo.owner, &repo.name));
    let filter = Filter::of(&ask);
    // One more than is shown tells whether there are more.
    let mut rows = runs::of_repo(ask.reader(), id, &filter.rows(), ROWS + 1).await?;
    let more = rows.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    let last = rows
        .last()
        .map(|row| row.number.to_string())
        .unwrap_or_default();
    let decided = runs::decided_on_branch(ask.reader(), id, &repo.default_branch, SPARK).await?;
    let status = decided.first().map(|run| words::of_state(*run.state));
    let word = status.map_or("No runs", |status| status.word);
    let title = format!("{word} · {}/{}", repo.owner, repo.name);
    let family = status.map_or(words::Family::Neutral, |status| status.family);
    let event = |word| (word, words::of_event(word), filter.event == word);
    let state = |state: State| {
        (
            state.as_str(),
            words::of_state(state).word,
            filter.state == state.as_str(),
        )
    };
    let page = Repo {
        f: ask
            .frame(Place::Overview, family, &title)
            .live(&[Topic::Repo(id).to_string()]),
        status,
        spark: decided
            .iter()
            .rev()
            .map(|row| RunLine::new(row, ask.now))
            .collect(),
        runs: rows.iter().map(|row| RunLine::new(row, ask.now)).collect(),
        chips: filter.chips(&list),
        older: more.then(|| filter.address(&list, &last)),
        newest: (!filter.before.is_empty()).then(|| filter.address(&list, "")),
        states: State::ALL.map(state).to_vec(),
        events: ["push", "pull_request", "schedule", "manual"]
            .map(event)
            .to_vec(),
        owner: repo.owner,
        name: repo.name,
        default_branch: repo.default_branch,
        filter,
    };
    ask.show(&page)
}
