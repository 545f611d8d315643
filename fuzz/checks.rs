//! What must hold for any file. `pipelines/tests/fuzz.rs` checks the same with a bounded number of
//! damaged files in every test run.

#![allow(dead_code, reason = "each target uses one of them")]

use std::collections::HashSet;

use pipelines::definition::{Definition, Problem};
use pipelines::environment::Environments;
use pipelines::event::{ChangedPaths, EventKind, GitEvent, PullRequest};
use pipelines::limits::{JOBS_MAX, PROBLEMS_MAX};
use pipelines::plan::Plan;
use pipelines::planner::{Context, Planned, plan as plan_of};

/// A file is accepted, or what is wrong with it is told with places inside it.
pub(crate) fn parse(text: &str) {
    if let Err(problems) = Definition::parse(text) {
        told(text, &problems);
    }
    if let Err(problems) = Environments::parse(text) {
        told(text, &problems);
    }
}

fn told(text: &str, problems: &[Problem]) {
    assert!(!problems.is_empty() && problems.len() <= PROBLEMS_MAX);
    let lines = text.split(['\n', '\r']).count().max(1);
    for problem in problems {
        let line = problem.line as usize;
        assert!((1..=lines).contains(&line), "{problem:?} of {lines} lines");
        assert!(problem.column >= 1 && !problem.message.is_empty());
        assert!(problem.text.chars().count() <= 61 && !problem.text.contains('\n'));
    }
}

const ENVIRONMENTS: &str =
    "staging: { namespace: a }\nproduction: { namespace: b, after: staging }\n";

/// An accepted file becomes the same plan each time, or problems, for every kind of event.
pub(crate) fn plan(text: &str) {
    let Ok(definition) = Definition::parse(text) else {
        return;
    };
    let environments = Environments::parse(ENVIRONMENTS).expect("the environments are right");
    let pipeline = "fuzz".parse().expect("the name is right");
    let repository = "acme/shop".parse().expect("the name is right");
    for event in events() {
        let context = Context {
            pipeline: &pipeline,
            environments: &environments,
            event: &event,
            repository: &repository,
            changed: &ChangedPaths::Unknown,
        };
        let made = plan_of(&definition, &context);
        assert_eq!(made, plan_of(&definition, &context));
        match made {
            Ok(Planned::Run(plan)) => sound(&plan),
            Ok(Planned::NotTriggered(reason)) => assert!(!reason.is_empty()),
            Err(problems) => told(text, &problems),
        }
    }
}

/// The jobs of a plan are not too many, have different names, and need one another without a round.
fn sound(plan: &Plan) {
    assert!(!plan.jobs.is_empty() && plan.jobs.len() <= JOBS_MAX);
    let names: HashSet<_> = plan.jobs.iter().map(|job| &job.name).collect();
    assert_eq!(names.len(), plan.jobs.len());
    let mut done = HashSet::new();
    while done.len() < plan.jobs.len() {
        let before = done.len();
        for job in &plan.jobs {
            if job.needs.iter().all(|need| done.contains(need)) {
                done.insert(&job.name);
            }
        }
        assert!(done.len() > before, "jobs that wait for ever");
    }
    let text = serde_json::to_string(plan).expect("a plan can be stored");
    assert_eq!(*plan, serde_json::from_str(&text).expect("and read again"));
}

fn events() -> [GitEvent; 5] {
    let push = GitEvent {
        kind: EventKind::Push,
        commit: "0123456789abcdef0123456789abcdef01234567"
            .parse()
            .expect("the commit is right"),
        before: None,
        branch: Some("main".parse().expect("the name is right")),
        tag: None,
        pull_request: None,
        title: "Sell fish".into(),
        author: "ada".into(),
        inputs: Default::default(),
    };
    let of = |kind| GitEvent {
        kind,
        ..push.clone()
    };
    let tag = GitEvent {
        branch: None,
        tag: Some("v1".parse().expect("the name is right")),
        ..push.clone()
    };
    let fork = GitEvent {
        pull_request: Some(PullRequest {
            number: 7,
            base: "main".parse().expect("the name is right"),
            fork: Some("eve/shop".parse().expect("the name is right")),
        }),
        ..of(EventKind::PullRequest)
    };
    [
        of(EventKind::Manual),
        of(EventKind::Schedule),
        push,
        tag,
        fork,
    ]
}
