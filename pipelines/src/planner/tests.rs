use super::*;
use crate::event::{EventKind, PullRequest};

mod conditions;
mod deploys;
mod examples;
mod size;
mod triggers;
mod values;
mod whole;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ENVIRONMENTS: &str = "
staging: { namespace: shop-staging, branches: [main, 'release/*'] }
production: { namespace: shop, branches: main, after: staging }
sandbox: { namespace: shop-sandbox }
";

fn push(branch: &str) -> GitEvent {
    GitEvent {
        kind: EventKind::Push,
        commit: COMMIT.parse().unwrap(),
        before: None,
        branch: Some(branch.parse().unwrap()),
        tag: None,
        pull_request: None,
        title: "Sell fish".into(),
        author: "ada".into(),
        inputs: Default::default(),
    }
}

fn tag(tag: &str) -> GitEvent {
    GitEvent {
        branch: None,
        tag: Some(tag.parse().unwrap()),
        ..push("main")
    }
}

fn manual(branch: &str) -> GitEvent {
    GitEvent {
        kind: EventKind::Manual,
        ..push(branch)
    }
}

fn pull_request(head: &str, fork: Option<&str>) -> GitEvent {
    GitEvent {
        kind: EventKind::PullRequest,
        pull_request: Some(PullRequest {
            number: 7,
            base: "main".parse().unwrap(),
            fork: fork.map(|name| name.parse().unwrap()),
        }),
        ..push(head)
    }
}

#[track_caller]
fn definition(text: &str) -> Definition {
    Definition::parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[track_caller]
fn environments(text: &str) -> Environments {
    Environments::parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[track_caller]
fn planned(text: &str, event: &GitEvent, changed: &ChangedPaths) -> Result<Planned, String> {
    let context = Context {
        pipeline: &"default".parse().unwrap(),
        environments: &environments(ENVIRONMENTS),
        event,
        repository: &"acme/shop".parse().unwrap(),
        changed,
    };
    plan(&definition(text), &context).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

/// The plan of a file that is meant to start a run.
#[track_caller]
fn run(text: &str, event: &GitEvent) -> Plan {
    match planned(text, event, &ChangedPaths::Unknown) {
        Ok(Planned::Run(plan)) => plan,
        other => panic!("no plan: {other:?}"),
    }
}

/// Each job of a plan, and why it is skipped.
#[track_caller]
fn skips(text: &str, event: &GitEvent) -> String {
    let plan = run(text, event);
    let line =
        |job: &PlannedJob| format!("{}: {}", job.name, job.skip.as_deref().unwrap_or("runs"));
    plan.jobs.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_is_the_same_for_the_same_files_and_event() {
    let text = include_str!("../../examples/promote.yml");
    assert_eq!(run(text, &push("main")), run(text, &push("main")));
}
