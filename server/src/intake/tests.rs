//! What is decided about the files of a commit, and how deliveries end without GitHub.

use std::time::Duration;

use pipelines::event::{ChangedPaths, EventKind, GitEvent};
use pipelines::ids::RepoId;
use pipelines::limits::FILES_MAX;
use pipelines::timestamp::Timestamp;

use super::decide::{Decided, Verdict, decide};
use super::material::Material;
use super::next_attempt;
use crate::github::contents::{Content, Found};
use crate::store::repos::Repo;

mod deliveries;
mod recorded;

const GOOD: &str = "on: { push: { branches: [main] } }\njobs:\n  test:\n    image: alpine:3\n    steps: [\"true\"]\n";
const DEPLOYING: &str = "on: { push: { branches: [main] } }\njobs:\n  staging:\n    deploy: { environment: staging, manifests: deploy/ }\n";

fn text(path: &str, text: &str) -> Found {
    Found {
        path: path.into(),
        content: Content::Text(text.into()),
    }
}

fn decided(files: Vec<Found>, environments: Option<Found>) -> Decided {
    let repo = Repo {
        id: RepoId(7),
        installation: 1,
        name: "acme/shop".parse().unwrap(),
        default_branch: "main".parse().unwrap(),
        private: false,
    };
    let event = GitEvent {
        kind: EventKind::Push,
        commit: "1f3c9e0b7a6d5c4b3a291807f6e5d4c3b2a19080".parse().unwrap(),
        before: None,
        branch: Some("main".parse().unwrap()),
        tag: None,
        pull_request: None,
        title: String::new(),
        author: "ada".into(),
        inputs: Default::default(),
    };
    let material = Material {
        files,
        environments,
        changed: ChangedPaths::Unknown,
        templates: Default::default(),
    };
    decide(&material, &repo, &event)
}

/// Each pipeline's verdict in a line.
fn told(decided: &Decided) -> String {
    let lines = decided.decisions.iter().map(|decision| {
        let verdict = match &decision.verdict {
            Verdict::Run(plan) => format!("runs {} jobs", plan.jobs.len()),
            Verdict::Broken(reason, problems) => format!("broken ({}): {reason}", problems.len()),
            Verdict::NotTriggered(reason) => format!("not: {reason}"),
        };
        format!("{} {verdict}", decision.pipeline)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_file_is_a_pipeline_and_the_lone_file_is_the_default_one() {
    let files = vec![
        text(".seaworthy.yml", GOOD),
        text(".seaworthy/other.yaml", &GOOD.replace("main", "release")),
    ];
    insta::assert_snapshot!(told(&decided(files, None)), @r#"
    default runs 1 jobs
    other not: `on.push.branches` wants release; this is main
    "#);
}

#[test]
fn a_broken_file_breaks_its_own_pipeline_and_says_where() {
    let files = vec![
        text(
            ".seaworthy/bad.yml",
            "on: { push: }\njobs:\n  test:\n    imag: alpine\n    steps: [a]\n",
        ),
        text(".seaworthy/good.yml", GOOD),
        Found {
            path: ".seaworthy/link.yml".into(),
            content: Content::Unreadable("it is not a regular file".into()),
        },
    ];
    insta::assert_snapshot!(told(&decided(files, None)), @r#"
    bad broken (2): .seaworthy/bad.yml:4:5: this key is not known in a job (did you mean `image`?)
    good runs 1 jobs
    link broken (0): .seaworthy/link.yml: it is not a regular file
    "#);
}

#[test]
fn a_file_that_names_no_pipeline_still_gets_its_run() {
    let files = vec![
        text(".seaworthy/My Pipeline.yml", GOOD),
        text(".seaworthy/---.yml", GOOD),
    ];
    insta::assert_snapshot!(told(&decided(files, None)), @r#"
    my-pipeline broken (0): .seaworthy/My Pipeline.yml: `My Pipeline` is not a valid pipeline name: use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit
    unnamed broken (0): .seaworthy/---.yml: `---` is not a valid pipeline name: use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit
    "#);
}

#[test]
fn two_files_of_one_name_and_too_many_files_are_told() {
    let files = vec![
        text(".seaworthy/ci.yml", GOOD),
        text(".seaworthy/ci.yaml", GOOD),
    ];
    insta::assert_snapshot!(told(&decided(files, None)), @r#"
    ci broken (0): .seaworthy/ci.yml and .seaworthy/ci.yaml name the same pipeline: keep one of them
    "#);
    let many = (0..=FILES_MAX).map(|number| text(&format!(".seaworthy/p{number}.yml"), GOOD));
    let many = decided(many.collect(), None);
    assert!(
        many.decisions
            .iter()
            .all(|one| matches!(one.verdict, Verdict::Broken(..)))
    );
}

#[test]
fn a_broken_environments_file_breaks_only_pipelines_that_deploy() {
    let files = || {
        vec![
            text(".seaworthy/deploy.yml", DEPLOYING),
            text(
                ".seaworthy/elsewhere.yml",
                &DEPLOYING.replace("main", "release"),
            ),
            text(".seaworthy/test.yml", GOOD),
        ]
    };
    let broken = text(
        ".seaworthy/environments.yml",
        "staging:\n  namespac: shop\n",
    );
    let broken = decided(files(), Some(broken));
    insta::assert_snapshot!(told(&broken), @r#"
    deploy broken (2): .seaworthy/environments.yml:1:1: `namespace` is missing (say which namespace of the cluster it is)
    elsewhere not: `on.push.branches` wants release; this is main
    test runs 1 jobs
    "#);
    assert!(broken.environments.is_none(), "what is on record stays");
    let good = text(
        ".seaworthy/environments.yml",
        "staging:\n  namespace: shop\n",
    );
    let good = decided(files(), Some(good));
    insta::assert_snapshot!(told(&good), @r#"
    deploy runs 1 jobs
    elsewhere not: `on.push.branches` wants release; this is main
    test runs 1 jobs
    "#);
    assert_eq!(good.environments.unwrap().iter().count(), 1);
}

#[test]
fn attempts_come_later_and_later_but_never_before_they_may() {
    let after = |attempts, wait| next_attempt(Timestamp(0), attempts, wait).0 / 1000;
    assert_eq!(
        [0, 1, 2, 5, 100].map(|attempts| after(attempts, None)),
        [1, 2, 4, 32, 300]
    );
    assert_eq!(after(0, Some(Duration::from_secs(120))), 120);
}
