//! The examples of the documentation are right, and mean what they say.

use super::*;
use crate::template::{Fetched, Templates};

const SERVICE: &str = include_str!("../../../examples/service.yml");
const DEPLOY: &str = include_str!("../../../examples/deploy.yml");
const PROMOTE: &str = include_str!("../../../examples/promote.yml");
const ENVIRONMENTS: &str = include_str!("../../../examples/environments.yml");

macro_rules! examples {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("../../../examples/", $name)))),*]
    };
}

const ALL: [(&str, &str); 14] = examples![
    "service.yml",
    "deploy.yml",
    "promote.yml",
    "rust-service.yml",
    "node-service.yml",
    "go-service.yml",
    "python-service.yml",
    "java-service.yml",
    "monorepo.yml",
    "matrix.yml",
    "services.yml",
    "canary.yml",
    "schedule.yml",
    "templates.yml",
];

/// An example with the template it takes from elsewhere.
#[track_caller]
fn example(text: &str) -> Definition {
    let file = Fetched::File {
        commit: COMMIT.parse().unwrap(),
        text: include_str!("../../../examples/shared/rust.yml").into(),
    };
    let source = "acme/pipelines@v3:rust.yml".parse().unwrap();
    let templates = Templates::from([(source, file)]);
    Definition::parse_with(text, &templates).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The plan of an example as people read it.
#[track_caller]
fn example_plan(text: &str, event: &GitEvent) -> Plan {
    let context = Context {
        pipeline: &"default".parse().unwrap(),
        environments: &environments(ENVIRONMENTS),
        event,
        repository: &"acme/shop".parse().unwrap(),
        changed: &ChangedPaths::Unknown,
    };
    match plan(&example(text), &context) {
        Ok(Planned::Run(plan)) => plan,
        other => panic!("no plan: {other:?}"),
    }
}

#[test]
fn each_example_fits_the_example_of_environments() {
    let environments = environments(ENVIRONMENTS);
    for (name, text) in ALL {
        assert_eq!(check(&example(text), Some(&environments)), [], "{name}");
    }
}

#[test]
fn each_example_becomes_a_plan() {
    let mut all = String::new();
    for (name, text) in ALL {
        let event = match name {
            "schedule.yml" => manual("main"),
            _ => push("main"),
        };
        let plan = example_plan(text, &event);
        all.push_str(&format!("# {name}\n"));
        for job in &plan.jobs {
            let needs: Vec<_> = job.needs.iter().map(ToString::to_string).collect();
            let skip = job.skip.as_deref().unwrap_or("runs");
            all.push_str(&format!("{} [{}]: {skip}\n", job.name, needs.join(", ")));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_service_is_checked_on_pushes_and_pull_requests() {
    for event in [
        push("feature/x"),
        pull_request("feature/x", Some("eve/shop")),
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(skips(SERVICE, &event), @r"
            lint: runs
            test: runs
            ");
        }
    }
}

#[test]
fn main_is_deployed_and_a_feature_is_built() {
    insta::assert_snapshot!(skips(DEPLOY, &push("main")), @r"
    test: runs
    image: runs
    staging: runs
    ");
    insta::assert_snapshot!(skips(DEPLOY, &push("feature/x")), @r"
    test: runs
    image: runs
    staging: environment `staging` wants branch main or release/*; this is feature/x
    ");
    insta::assert_snapshot!(skips(DEPLOY, &pull_request("feature/x", None)), @r"
    test: runs
    image: `when` wants event push or manual; this is pull_request
    staging: a pull request does not deploy
    ");
}

#[test]
fn a_release_is_promoted_with_every_choice_made() {
    let plan = run(PROMOTE, &push("main"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
}
