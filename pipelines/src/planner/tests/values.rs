//! What `${{ … }}` becomes, and who inherits what.

use super::*;
use crate::plan::Work;

fn steps(text: &str, event: &GitEvent) -> Vec<crate::plan::Step> {
    match run(text, event).jobs.remove(0).work {
        Work::Steps(work) => work.steps,
        Work::Build(_) | Work::Deploy(_) => panic!("not steps"),
    }
}

fn env(expression: &str, event: &GitEvent) -> String {
    let text = format!(
        "on: [push, pull_request]\njobs: {{ a: {{ image: x, steps: [y], env: {{ A: '{expression}' }} }} }}"
    );
    steps(&text, event)[0].env["A"].to_string()
}

#[test]
fn each_gap_is_filled_with_what_happened() {
    let all = "${{ branch }}|${{tag}}|${{ commit }}|${{ short_commit }}|${{ event }}|${{ author }}|${{ repository }}";
    assert_eq!(
        env(all, &push("feature/x")),
        format!("feature/x||{COMMIT}|0123456|push|ada|acme/shop")
    );
    assert_eq!(
        env(all, &tag("v1")),
        format!("|v1|{COMMIT}|0123456|push|ada|acme/shop")
    );
    assert_eq!(
        env("${{ branch }} ${{ event }}", &pull_request("x", None)),
        "x pull_request"
    );
}

#[test]
fn a_hostile_name_stays_a_text() {
    assert_eq!(env("${{ branch }}", &push("$(reboot)")), "$(reboot)");
    let event = GitEvent {
        author: "${{ branch }}".into(),
        ..push("main")
    };
    assert_eq!(env("${{ author }}", &event), "${{ branch }}");
}

#[test]
fn the_nearest_env_wins_and_every_step_has_an_image() {
    let text = "
on: push
env: { A: file, B: file, C: file }
jobs:
  a:
    image: rust:1.95
    env: { B: job, C: job }
    steps:
      - make
      - { name: last, run: make test, image: 'busybox:${{ branch }}', env: { C: step }, timeout: 5m }
";
    insta::assert_debug_snapshot!(steps(text, &push("main")));
}

#[test]
fn tags_take_what_fits_and_leave_out_what_is_nothing() {
    let text = "on: push\njobs: { a: { build: { image: shop, tags: ['${{ branch }}', '${{ tag }}', 'v-${{ branch }}', main] } } }";
    let tags = |event: &GitEvent| match run(text, event).jobs.remove(0).work {
        Work::Build(build) => build
            .tags
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        Work::Steps(_) | Work::Deploy(_) => panic!("not a build"),
    };
    assert_eq!(tags(&push("main")), ["main", "v-main"]);
    assert_eq!(
        tags(&push("feature/ü#1")),
        ["feature---1", "v-feature---1", "main"]
    );
    assert_eq!(tags(&tag("v1.0")), ["v1.0", "v-", "main"]);
}

#[test]
fn what_is_no_valid_name_once_filled_is_a_problem() {
    let text = "
on: push
jobs:
  a: { build: { image: 'registry.acme.dev/${{ branch }}' } }
  b: { image: 'x:${{ branch }}', steps: [y, { run: z, image: ok }] }
";
    assert!(planned(text, &push("main"), &ChangedPaths::Unknown).is_ok());
    let problems = planned(text, &push("A$b"), &ChangedPaths::Unknown).unwrap_err();
    insta::assert_snapshot!(problems, @r"
    4:24: `registry.acme.dev/A$b` is not a valid image repository (this is the value with `${{ … }}` filled in)
    5:15: `x:A$b` is not a valid image (this is the value with `${{ … }}` filled in)
    ");
}

#[test]
fn what_is_not_said_has_a_stated_value() {
    let text = "
on: push
jobs:
  a: { image: x, steps: [y] }
  b: { build: { image: shop, context: shop/ } }
  c: { deploy: { environment: sandbox, manifests: z } }
";
    let plan = run(text, &push("main"));
    assert!(
        plan.jobs
            .iter()
            .all(|job| job.timeout_seconds == 3600 && job.retry.attempts == 0)
    );
    let Work::Build(build) = &plan.jobs[1].work else {
        panic!("not a build");
    };
    assert_eq!(
        (build.context.as_str(), build.dockerfile.as_str()),
        ("shop/", "shop/Dockerfile")
    );
    let Work::Deploy(deploy) = &plan.jobs[2].work else {
        panic!("not a deploy");
    };
    assert_eq!(
        (deploy.verify.bake_seconds, deploy.verify.deadline_seconds),
        (10, 600)
    );
}
