//! Deploys fit their environments, and never come from a pull request or a fork.

use super::*;

const FILE: &str = "
on: [push, pull_request, manual]
jobs:
  image: { build: { image: shop } }
  staging: { needs: image, deploy: { environment: staging, manifests: a, images: { shop: image } } }
  sandbox: { deploy: { environment: sandbox, manifests: a } }
  production: { needs: staging, deploy: { environment: production, promote: staging } }
";

#[test]
fn a_deploy_runs_only_for_the_branches_of_its_environment() {
    let events = [
        push("main"),
        push("release/1"),
        push("feature/x"),
        tag("v1"),
        manual("main"),
    ];
    let tables = events.map(|event| skips(FILE, &event));
    insta::assert_snapshot!(tables.join("\n\n"));
}

#[test]
fn neither_a_pull_request_nor_a_fork_deploys_or_pushes_as_us() {
    let ours = skips(FILE, &pull_request("main", None));
    let theirs = skips(FILE, &pull_request("main", Some("eve/shop")));
    insta::assert_snapshot!(format!("{ours}\n\n{theirs}"), @r"
    image: runs
    staging: a pull request does not deploy
    sandbox: a pull request does not deploy
    production: a pull request does not deploy

    image: work of a fork does not push images
    staging: work of a fork does not deploy
    sandbox: work of a fork does not deploy
    production: work of a fork does not deploy
    ");
}

/// The problems of deploys, found with an event and without one.
#[track_caller]
fn unfit(jobs: &str) -> String {
    let text = format!("on: push\njobs:\n{jobs}");
    let found = check(&definition(&text), Some(&environments(ENVIRONMENTS)));
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    let lines = lines.join("\n");
    let planned = planned(&text, &push("main"), &ChangedPaths::Unknown);
    assert_eq!(planned.map(drop).err().unwrap_or_default(), lines);
    lines
}

#[test]
fn an_environment_that_is_not_there_is_told_with_the_nearest() {
    let jobs = "  a: { deploy: { environment: stagin, manifests: x } }\n  b: { deploy: { environment: qa, manifests: x } }\n";
    insta::assert_snapshot!(unfit(jobs), @r"
    3:31: there is no environment `stagin` (did you mean `staging`?)
    4:31: there is no environment `qa` (the default branch's `.seaworthy/environments.yml` has staging, production, sandbox)
    ");
    let text = format!("on: push\njobs:\n{jobs}");
    let found = check(&definition(&text), Some(&Environments::none()));
    assert_eq!(
        found[0].hint.as_deref(),
        Some("describe it in `.seaworthy/environments.yml` on the default branch")
    );
    assert_eq!(check(&definition(&text), None), []);
}

#[test]
fn an_environment_after_another_is_reached_only_through_it() {
    let staging = "  staging: { deploy: { environment: staging, manifests: x } }\n";
    let sandbox = "  sandbox: { deploy: { environment: sandbox, manifests: x } }\n";
    let cases = [
        String::from("  production: { deploy: { environment: production, manifests: x } }\n"),
        format!(
            "{staging}  production: {{ deploy: {{ environment: production, manifests: x }} }}\n"
        ),
        format!(
            "{staging}{sandbox}  production: {{ needs: [staging, sandbox], deploy: {{ environment: production, promote: sandbox }} }}\n"
        ),
    ];
    insta::assert_snapshot!(cases.map(|case| unfit(&case)).join("\n"), @r"
    3:40: `production` comes after `staging`, but this job waits for no deploy to it (add a job that deploys to `staging`, and need it here)
    4:40: `production` comes after `staging`, but this job waits for no deploy to it (add `staging` to its `needs`, and `promote: staging` to deploy the same release)
    5:88: `production` comes after `staging`, and can promote from no other (write `promote: staging`)
    ");
    let through = "  smoke: { needs: staging, image: x, steps: [y] }\n  production: { needs: smoke, deploy: { environment: production, promote: staging } }\n";
    assert_eq!(unfit(&format!("{staging}{through}")), "");
}

#[test]
fn an_event_that_starts_nothing_has_no_problems_either() {
    let text = "on: push\njobs: { a: { deploy: { environment: nowhere, manifests: x } } }";
    let planned = planned(text, &manual("main"), &ChangedPaths::Unknown);
    assert!(matches!(planned, Ok(Planned::NotTriggered(_))));
}
