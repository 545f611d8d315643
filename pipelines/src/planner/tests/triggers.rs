//! Which events start a run, and which jobs of it run.

use super::*;

const JOBS: &str = "\njobs: { a: { image: x, steps: [y] } }\n";

/// Whether an event starts a run; if not, why.
#[track_caller]
fn starts(on: &str, event: &GitEvent, changed: &[&str]) -> String {
    let changed = ChangedPaths::Known(changed.iter().map(|path| (*path).to_owned()).collect());
    match planned(&format!("on: {on}{JOBS}"), event, &changed) {
        Ok(Planned::Run(_)) => "yes".into(),
        Ok(Planned::NotTriggered(reason)) => reason,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn an_event_that_is_not_named_starts_nothing() {
    let events = [
        push("main"),
        tag("v1"),
        pull_request("x", None),
        manual("main"),
    ];
    let table = ["push", "pull_request", "manual", "[push, manual]"].map(|on| {
        let row = events.each_ref().map(|event| starts(on, event, &[]));
        format!("{on}: {}", row.join(" | "))
    });
    insta::assert_snapshot!(table.join("\n"), @r"
    push: yes | yes | the pipeline does not start on a pull request | the pipeline does not start on request
    pull_request: the pipeline does not start on a push | the pipeline does not start on a push | yes | the pipeline does not start on request
    manual: the pipeline does not start on a push | the pipeline does not start on a push | the pipeline does not start on a pull request | yes
    [push, manual]: yes | yes | the pipeline does not start on a pull request | yes
    ");
}

#[test]
fn a_filter_of_branches_leaves_tags_out_and_the_other_way_round() {
    let events = [
        push("main"),
        push("release/1"),
        push("x/y"),
        tag("v1"),
        tag("w1"),
    ];
    let filters = [
        "{ push: { branches: [main, 'release/*'] } }",
        "{ push: { tags: 'v*' } }",
        "{ push: { branches: main, tags: 'v*' } }",
        "{ push: { branches: '!main' } }",
        "{ push: }",
    ];
    let table = filters.map(|on| {
        let row = events.each_ref().map(|event| starts(on, event, &[]));
        format!("{on}\n  {}", row.join("\n  "))
    });
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn one_changed_path_of_the_wanted_is_enough() {
    let on = "{ push: { paths: ['shop/**', '!**/*.md'] }, pull_request: { paths: docs/* } }";
    assert_eq!(starts(on, &push("main"), &["x", "shop/a.rs"]), "yes");
    assert_eq!(
        starts(on, &push("main"), &["x", "shop/a.md"]),
        "`on.push.paths` wants shop/**, but not **/*.md; no such path changed"
    );
    assert_eq!(
        starts(on, &pull_request("x", None), &["shop/a.rs"]),
        "`on.pull_request.paths` wants docs/*; no such path changed"
    );
    // The paths of a tag are not known, and neither are those of a new branch.
    assert_eq!(starts(on, &tag("v1"), &[]), "yes");
    let unknown = planned(
        &format!("on: {on}{JOBS}"),
        &push("new"),
        &ChangedPaths::Unknown,
    );
    assert!(matches!(unknown, Ok(Planned::Run(_))));
}

#[test]
fn a_pull_request_is_filtered_by_the_branch_it_wants_to_go_into() {
    let on = "{ pull_request: { branches: main } }";
    assert_eq!(starts(on, &pull_request("feature", None), &[]), "yes");
    let on = "{ pull_request: { branches: feature } }";
    assert_eq!(
        starts(on, &pull_request("feature", None), &[]),
        "`on.pull_request.branches` wants feature; this is main"
    );
}

#[test]
fn when_decides_per_job_and_says_why_not() {
    let text = "
on: [push, pull_request, manual]
jobs:
  branch: { image: x, steps: [y], when: { branch: [main, 'release/*'] } }
  other: { image: x, steps: [y], when: { branch: '!main' } }
  event: { image: x, steps: [y], when: { event: [push, manual] } }
  both: { image: x, steps: [y], when: { branch: main, event: '!manual' } }
  needs: { image: x, steps: [y], needs: branch }
";
    let events = [
        push("main"),
        push("feature/x"),
        tag("v1"),
        manual("main"),
        pull_request("main", None),
        pull_request("main", Some("eve/shop")),
    ];
    let tables = events.map(|event| skips(text, &event));
    insta::assert_snapshot!(tables.join("\n\n"));
}
