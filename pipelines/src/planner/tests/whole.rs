//! The whole language, planned.

use super::*;
use crate::plan::Work;

const WHOLE: &str = "
on:
  push: { branches: [main] }
  manual: { inputs: { reason: { required: true }, size: { default: small } } }
concurrency: { group: '${{ branch }}', newest: waits }
env: { SHARED: '${{ inputs.size }}' }
jobs:
  version:
    image: busybox:1
    steps: [./version > version.txt]
    outputs: { version: version.txt }
  test:
    needs: [version]
    image: 'rust:${{ matrix.toolchain }}'
    matrix: { toolchain: [stable, beta] }
    services:
      db: { image: postgres:17, env: { POSTGRES_DB: '${{ matrix.toolchain }}' }, ready: pg_isready, timeout: 30s }
    cache: { key: [Cargo.lock], paths: [target, /usr/local/cargo/registry] }
    secrets: [npm_token]
    when: { matrix: { toolchain: '!nightly' } }
    steps:
      - cargo test
      - { run: ./report, image: 'report:${{ jobs.version.outputs.version }}', secrets: [report_key], when: { status: always, tag: 'v*' } }
    artifacts: [target/release/shop]
    reports: { junit: 'target/junit/*.xml' }
    retry: { attempts: 2, on: [exit:75, timeout] }
  image:
    needs: [test, version]
    build: { image: registry/shop, platforms: [linux/amd64, linux/arm64], args: { V: 'v${{ jobs.version.outputs.version }}-${{ run }}' }, secrets: [npm_token], tags: ['${{ run }}', '${{ branch }}'] }
  tell:
    needs: [image]
    when: { status: failure }
    image: busybox:1
    steps: ['echo $SEAWORTHY_OUTPUT_VERSION_VERSION']
";

#[test]
fn the_whole_language_becomes_a_plan_with_every_choice_made() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&run(WHOLE, &push("main"))).unwrap());
}

#[test]
fn a_plan_can_be_read_by_people() {
    insta::assert_snapshot!(run(WHOLE, &push("main")).to_string());
}

#[test]
fn a_plan_of_deploys_can_be_read_by_people() {
    let text = "
on: push
jobs:
  image: { build: { image: registry/shop, target: app }, when: { branch: '!main' } }
  sandbox:
    needs: [image]
    deploy:
      environment: sandbox
      manifests: deploy/
      images: { shop: image }
      before: [deploy/migrate.yaml]
      strategy: { canary: { steps: [10%, 50%], hold: 5m } }
      verify: { bake: 30s, http: 'http://shop.sandbox/healthz' }
  staging:
    deploy: { environment: staging, manifests: deploy/, strategy: { blue_green: { keep: 90s } } }
  production:
    needs: [staging]
    retry: 1
    when: { status: always }
    deploy: { environment: production, promote: staging, strategy: recreate }
";
    insta::assert_snapshot!(run(text, &push("main")).to_string());
}

#[test]
fn a_plan_is_the_same_every_time_and_survives_being_stored() {
    let plan = run(WHOLE, &push("main"));
    let text = serde_json::to_string(&plan).unwrap();
    let stored: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!((&stored, &run(WHOLE, &push("main"))), (&plan, &plan));
}

#[test]
fn what_a_person_must_give_is_asked_for() {
    let event = GitEvent {
        kind: EventKind::Manual,
        ..push("main")
    };
    let refused = planned(WHOLE, &event, &ChangedPaths::Unknown);
    assert_eq!(refused, Err("1:1: input `reason` is missing".into()));
}

#[test]
fn the_group_of_a_fork_is_its_own() {
    let text =
        "on: pull_request\nconcurrency: '${{ branch }}'\njobs: { a: { image: x, steps: [y] } }";
    let group = |event: &GitEvent| run(text, event).concurrency.unwrap().group;
    assert_eq!(
        [
            group(&pull_request("main", None)),
            group(&pull_request("main", Some("eve/shop")))
        ],
        ["main", "fork eve/shop: main"]
    );
}

#[test]
fn a_branch_that_looks_like_a_gap_stays_a_branch() {
    let text =
        "on: push\njobs: { a: { image: x, steps: [y], env: { B: '${{ branch }}-${{ run }}' } } }";
    let plan = run(text, &push("${{jobs.a.outputs.b}}"));
    let Work::Steps(work) = &plan.jobs[0].work else {
        panic!("not steps")
    };
    let filled = work.steps[0].env["B"].fill(&|_| Ok("7".into())).unwrap();
    assert_eq!(filled.known(), Some("${{jobs.a.outputs.b}}-7"));
}

#[test]
fn paths_that_are_none_once_filled_are_problems() {
    let text = "
on: { manual: { inputs: { folder: } } }
jobs:
  a:
    image: x
    steps: [y]
    artifacts: ['${{ inputs.folder }}/**']
    outputs: { o: '${{ inputs.folder }}' }
    cache: { paths: ['${{ inputs.folder }}'] }
";
    let mut event = push("main");
    event.kind = EventKind::Manual;
    event.inputs = [("folder".to_owned(), "../../etc".to_owned())].into();
    let refused = planned(text, &event, &ChangedPaths::Unknown);
    insta::assert_snapshot!(refused.unwrap_err());
}
