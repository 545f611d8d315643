//! `when` of jobs, cells and steps, and what scripts are told.

use super::*;
use crate::plan::{Condition, Work};

const WHEN: &str = "
on: { push: , schedule: [{ cron: '0 4 * * *' }] }
jobs:
  tag: { image: x, steps: [y], when: { tag: 'v*' } }
  no_release: { image: x, steps: [y], when: { tag: '!v*' } }
  shop: { image: x, steps: [y], when: { path: [shop/**, '!**/*.md'] } }
  scheduled: { image: x, steps: [y], when: { event: schedule } }
  cells: { image: x, steps: [y], matrix: { os: [linux, plan9] }, when: { matrix: { os: '!plan9' } } }
";

fn skips_with(changed: &ChangedPaths, event: &GitEvent) -> String {
    let Ok(Planned::Run(plan)) = planned(WHEN, event, changed) else {
        panic!("no plan")
    };
    let line = |job: &PlannedJob| {
        let why = job.skip.as_deref().unwrap_or("runs");
        format!("{}: {why}", job.name)
    };
    plan.jobs.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_part_of_when_decides_and_says_why_not() {
    let known =
        |paths: &[&str]| ChangedPaths::Known(paths.iter().map(ToString::to_string).collect());
    let scheduled = GitEvent {
        kind: EventKind::Schedule,
        ..push("main")
    };
    let tables = [
        skips_with(&known(&["shop/a.rs"]), &push("main")),
        skips_with(&known(&["shop/a.md", "b.rs"]), &push("main")),
        skips_with(&ChangedPaths::Unknown, &tag("v1")),
        skips_with(&ChangedPaths::Unknown, &tag("x1")),
        skips_with(&ChangedPaths::Unknown, &scheduled),
    ];
    insta::assert_snapshot!(tables.join("\n\n"));
}

#[test]
fn a_step_that_does_not_apply_stays_in_the_plan_and_says_why() {
    let text = "
on: push
jobs:
  a:
    image: x
    matrix: { os: [linux, plan9] }
    steps:
      - { name: all, run: y }
      - { name: one, run: y, when: { matrix: { os: linux } } }
      - { name: main, run: y, when: { branch: main } }
      - { name: tell, run: y, when: { status: failure } }
      - { name: tidy, run: y, when: { status: always, branch: '!main' } }
";
    let plan = run(text, &push("feature/x"));
    let mut lines = Vec::new();
    for job in &plan.jobs {
        let Work::Steps(work) = &job.work else {
            panic!("not steps")
        };
        for step in &work.steps {
            let (name, condition) = (&step.name, step.condition.as_str());
            let why = step.skip.as_deref().unwrap_or("runs");
            lines.push(format!("{} {name} ({condition}): {why}", job.name));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_status_that_a_job_wants_is_its_condition() {
    let text = "
on: push
jobs:
  a: { image: x, steps: [y] }
  b: { image: x, steps: [y], needs: a, when: { status: failure } }
  c: { image: x, steps: [y], needs: a, when: { status: always } }
  d: { image: x, steps: [y], needs: a, when: { status: success } }
";
    let plan = run(text, &push("main"));
    let conditions: Vec<_> = plan.jobs.iter().map(|job| job.condition).collect();
    use Condition::{Always, Failure, Success};
    assert_eq!(conditions, [Success, Failure, Always, Success]);
}

#[test]
fn a_need_of_a_matrix_is_a_need_of_each_cell() {
    let text = "
on: push
jobs:
  last: { image: x, steps: [y], needs: [test, lint] }
  test: { image: x, steps: [y], needs: lint, matrix: { v: [1, 2], w: [a, b], exclude: [{ v: 2, w: b }] } }
  lint: { image: x, steps: [y] }
";
    let plan = run(text, &push("main"));
    let needs = |job: &PlannedJob| {
        let needs: Vec<_> = job.needs.iter().map(JobName::as_str).collect();
        format!("{} of {}: {}", job.name, job.group, needs.join(" "))
    };
    let lines: Vec<_> = plan.jobs.iter().map(needs).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    last of last: test-1-a test-1-b test-2-a lint
    test-1-a of test: lint
    test-1-b of test: lint
    test-2-a of test: lint
    lint of lint: 
    ");
}

#[test]
fn a_script_is_told_its_cell_the_inputs_and_what_the_jobs_behind_it_made() {
    let text = "
on: { manual: { inputs: { dry-run: { type: boolean, default: true }, note: } } }
jobs:
  build-it: { image: x, steps: [y], outputs: { app-version: v.txt } }
  image: { needs: build-it, build: { image: shop } }
  beside: { image: x, steps: [y], outputs: { unseen: v.txt } }
  last: { image: x, steps: [y], needs: image, matrix: { node-js: ['20'] } }
";
    let event = GitEvent {
        inputs: [("note".to_owned(), "two words".to_owned())].into(),
        ..manual("main")
    };
    let plan = run(text, &event);
    let Work::Steps(work) = &plan.jobs[3].work else {
        panic!("not steps")
    };
    let line = |(name, value): (&String, &crate::plan::Text)| format!("{name}={value}");
    let lines: Vec<_> = work.steps[0].env.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    SEAWORTHY_INPUT_DRY_RUN=true
    SEAWORTHY_INPUT_NOTE=two words
    SEAWORTHY_MATRIX_NODE_JS=20
    SEAWORTHY_OUTPUT_BUILD_IT_APP_VERSION=${{ jobs.build-it.outputs.app-version }}
    SEAWORTHY_OUTPUT_IMAGE_DIGEST=${{ jobs.image.outputs.digest }}
    SEAWORTHY_OUTPUT_IMAGE_IMAGE=${{ jobs.image.outputs.image }}
    ");
}

#[test]
fn caches_are_apart_where_the_pipeline_the_cell_the_image_or_the_place_is() {
    let text = "
on: push
jobs:
  a: { image: 'x:${{ matrix.v }}', steps: [y], matrix: { v: [1, 2] }, cache: [{ paths: [p] }, { paths: [q] }] }
  b: { image: x:1, steps: [y], cache: { paths: [p] } }
";
    let prefixes = |text: &str| -> Vec<String> {
        let plan = run(text, &push("main"));
        let works = plan.jobs.into_iter().filter_map(|job| match job.work {
            Work::Steps(work) => Some(work.caches),
            Work::Build(_) | Work::Deploy(_) => None,
        });
        works.flatten().map(|cache| cache.prefix).collect()
    };
    let mut all = prefixes(text);
    assert_eq!(all, prefixes(text), "the same file has the same caches");
    all.extend(prefixes(&text.replace("x:1", "x:2")).pop());
    all.extend(prefixes(&text.replace("{ paths: [p] } }", "{ paths: [q] } }")).pop());
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), count), (7, 7), "{all:?}");
}
