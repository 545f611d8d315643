//! The examples of the documentation are right, and mean what they say.

use super::*;

const SERVICE: &str = include_str!("../../../examples/service.yml");
const DEPLOY: &str = include_str!("../../../examples/deploy.yml");
const PROMOTE: &str = include_str!("../../../examples/promote.yml");
const ENVIRONMENTS: &str = include_str!("../../../examples/environments.yml");

#[test]
fn each_example_fits_the_example_of_environments() {
    let environments = environments(ENVIRONMENTS);
    for text in [SERVICE, DEPLOY, PROMOTE] {
        assert_eq!(check(&definition(text), Some(&environments)), []);
    }
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
