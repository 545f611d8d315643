//! Keys and the kinds of their values.

use super::*;

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let files = [
        "on: push\njob: {}",
        "on: push\njobs: {}",
        "on: push\njobs: [a]",
        "jobs: { a: { image: x, steps: [y] } }",
        "on: push\nname: x\ntimeout: 1m\njobs: { a: { image: x, steps: [y], branches: main } }",
        "on: { push: { branch: main, tag: v1, Paths: x } }\njobs: { a: { image: x, steps: [y] } }",
        "on: { puhs: , pull-request: , cron: }\njobs: { a: { image: x, steps: [y] } }",
        "on: yes\njobs: { a: { image: x, steps: [y] } }",
        "on: [push, {pull_request: }, tags]\njobs: { a: { image: x, steps: [y] } }",
        "on:\njobs: { a: { image: x, steps: [y] } }",
        "on: {}\njobs: { a: { image: x, steps: [y] } }",
        "on: []\njobs: { a: { image: x, steps: [y] } }",
        "on: { push: { branches: [], tags: { a: b }, paths: [[a]] } }\njobs: { a: { image: x, steps: [y] } }",
        "on: { push: { branches: ['a?', '[ab]', '!', '${{ branch }}', '/x', 'a**'] } }\njobs: { a: { image: x, steps: [y] } }",
    ];
    insta::assert_snapshot!(report(&files));
}

#[test]
fn what_comes_later_is_told_apart_from_what_is_unknown() {
    let files = [
        "on: [push, schedule]\nconcurrency: x\ntemplates: {}\njobs: { a: { image: x, steps: [y] } }",
        "on: { schedule: [], manual: { inputs: {} } }\njobs: { a: { image: x, steps: [y] } }",
    ];
    insta::assert_snapshot!(report(&files));
    let bodies = [
        "image: x\nservices: {}\nmatrix: {}\ncache: {}\nreports: {}\nartifacts: []\noutputs: {}\nsecrets: []\nconcurrency: x\nextends: y\nsteps: [y]",
        "image: x\nmatix: {}\nsteps: [{ run: y, when: {}, secrets: [] }]\nretry: { attempts: 2 }",
        "when: { tag: v1, path: x, status: always, matrix: {} }\nbuild: { image: x, platforms: [], secrets: [] }",
        "deploy:\n  environment: x\n  manifests: y\n  values: {}\n  before: []\n  strategy: { canary: {} }\n  verify: { http: x }",
        "deploy: { environment: x, manifests: y, strategy: blue_green }",
        "image: x\nsteps: [y]\nenv: { A: '${{ matrix.x }}', B: '${{ jobs.b.outputs.c }}', C: '${{ inputs.d }}', D: '${{ run }}' }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let file = "\
on: { puhs: }
jobs:
  Test: { image: x, steps: [y] }
  image:
    needs: [tset, image]
    build: { imag: Registry/x, args: { A-B: 1 } }
  test:
    steps: [{ rum: x }, '']
    timeout: 5
  deploy:
    needs: image
    image: x
    deploy: { manifests: ../x }
";
    insta::assert_snapshot!(report(&[file]));
}

#[test]
fn a_job_whose_work_is_misspelt_is_told_of_the_spelling_alone() {
    let file = "on: push\njobs: { a: { image: x, step: [y] } }";
    insta::assert_snapshot!(problems(file), @"2:24 |step| this key is not known in a job (did you mean `steps`?)");
}
