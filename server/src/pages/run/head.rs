//! What stands above every tab of a run, and what all of them read.

use axum::extract::Path;
use pipelines::definition::Problem;
use pipelines::ids::{RepoId, RunId};

use crate::error::PageError;
use crate::live::Topic;
use crate::pages::ask::{Ask, missing};
use crate::pages::frame::{Frame, Place};
use crate::pages::lines::RunLine;
use crate::pages::links;
use crate::pages::moments::{Took, When, usual};
use crate::store::views::jobs::{self, JobRow};
use crate::store::views::kept;
use crate::store::views::runs::{self, RunDetail, RunRow};

/// Runs that say what is usual.
pub(super) const USUAL_RUNS: i64 = 20;

/// The place of a run in an address.
pub(crate) type RunPath = Path<(String, String, i64)>;

/// The pages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Did it work; if not, why?
    Summary,
    /// What depends on what?
    Graph,
    /// Where did the time go?
    Timing,
    /// Which tests failed?
    Tests,
    /// What did it leave?
    Artifacts,
    /// What did the server read?
    File,
    /// What happened?
    Events,
}

impl Tab {
    const ALL: [Tab; 7] = [
        Self::Summary,
        Self::Graph,
        Self::Timing,
        Self::Tests,
        Self::Artifacts,
        Self::File,
        Self::Events,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Summary => "Summary",
            Self::Graph => "Graph",
            Self::Timing => "Timing",
            Self::Tests => "Tests",
            Self::Artifacts => "Artifacts",
            Self::File => "File",
            Self::Events => "Events",
        }
    }

    /// What follows the run's address.
    fn tail(self) -> &'static str {
        match self {
            Self::Summary => "",
            Self::Graph => "/graph",
            Self::Timing => "/timing",
            Self::Tests => "/tests",
            Self::Artifacts => "/artifacts",
            Self::File => "/file",
            Self::Events => "/events",
        }
    }
}

/// A link to a tab.
pub(crate) struct TabLink {
    pub(crate) word: &'static str,
    pub(crate) href: String,
    pub(crate) here: bool,
    /// What waits there, in a word or two.
    pub(crate) note: Option<String>,
}

/// What stands above every tab.
pub(crate) struct Head {
    pub(crate) run: RunLine,
    pub(crate) trust: String,
    pub(crate) is_found: bool,
    pub(crate) usual: Option<Took>,
    pub(crate) rerun_of: Option<(i64, String)>,
    pub(crate) rerun_as: Option<(i64, String)>,
    /// What a person gave along: name and value.
    pub(crate) inputs: Vec<(String, String)>,
    pub(crate) is_open: bool,
    /// When a person said that its logs and artifacts stay.
    pub(crate) kept: Option<When>,
    pub(crate) tabs: Vec<TabLink>,
}

/// A run with everything that its tabs share.
pub(crate) struct Opened {
    pub(crate) f: Frame,
    pub(crate) head: Head,
    pub(crate) repo: RepoId,
    pub(crate) row: RunRow,
    pub(crate) detail: RunDetail,
    pub(crate) jobs: Vec<JobRow>,
}

impl Opened {
    /// The run of the address, for one of its tabs.
    pub(crate) async fn find(
        ask: &Ask,
        Path((owner, name, number)): RunPath,
        tab: Tab,
    ) -> Result<Self, PageError> {
        let repo = ask.repo(&owner, &name).await?;
        let id = RepoId(repo.id);
        let row = runs::find(ask.reader(), id, number).await?;
        let row =
            row.ok_or_else(|| missing(format!("there is no run {number} of {owner}/{name}")))?;
        let run = RunId(row.id);
        let detail = runs::detail(ask.reader(), run).await?;
        let line = RunLine::new(&row, ask.now);
        let title = match tab {
            Tab::Summary => format!("{} · {} #{}", line.status.word, row.repo, row.number),
            _ => format!(
                "{} · {} #{} · {}",
                line.status.word,
                row.repo,
                row.number,
                tab.word()
            ),
        };
        let mut crumbs = vec![
            ("Overview", "/".into()),
            (line.repo.as_str(), line.repo_href.clone()),
        ];
        let this = format!("#{}", row.number);
        if tab != Tab::Summary {
            crumbs.push((&this, line.href.clone()));
        }
        let f = ask
            .frame(Place::Overview, line.status.family, &title)
            .live(&[Topic::Run(run).to_string()])
            .under(&crumbs);
        let other = |number: i64| (number, links::run(&row.owner, &row.repo, number));
        let usual = usual(runs::durations(ask.reader(), id, &row.pipeline, USUAL_RUNS).await?);
        let counts = kept::counts(ask.reader(), run).await?;
        let inputs: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&detail.inputs).unwrap_or_default();
        Ok(Self {
            f,
            head: Head {
                tabs: tabs(&line.href, tab, counts),
                trust: detail.trust.clone(),
                is_found: detail.is_found,
                usual,
                rerun_of: detail.rerun_of.map(other),
                rerun_as: detail.rerun_as.map(other),
                inputs: inputs.into_iter().collect(),
                kept: detail.kept_at.map(When::from),
                is_open: !row.state.is_final(),
                run: line,
            },
            repo: id,
            jobs: jobs::of_run(ask.reader(), run).await?,
            row,
            detail,
        })
    }

    /// What is wrong in the pipeline file.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        serde_json::from_str(&self.detail.problems).unwrap_or_default()
    }
}

fn tabs(run: &str, here: Tab, counts: kept::Counts) -> Vec<TabLink> {
    let note = |tab| match tab {
        Tab::Tests if counts.failed_tests > 0 => Some(format!("{} failed", counts.failed_tests)),
        Tab::Artifacts if counts.artifacts > 0 => Some(counts.artifacts.to_string()),
        _ => None,
    };
    let link = |tab: Tab| TabLink {
        word: tab.word(),
        href: format!("{run}{}", tab.tail()),
        here: tab == here,
        note: note(tab),
    };
    Tab::ALL.into_iter().map(link).collect()
}
