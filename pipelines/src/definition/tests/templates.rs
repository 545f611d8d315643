//! Jobs that take from templates, of this file and of others.

use super::*;
use crate::template::Fetched;

const SHARED: &str = "acme/pipelines@v3:rust.yml";
const FILE: &str = "on: push\njobs:\n  a: { extends: 'acme/pipelines@v3:rust.yml#test' }\n";

/// A pipeline and the only other file there is.
fn parsed(text: &str, shared: &str) -> Result<Definition, Vec<Problem>> {
    let file = Fetched::File {
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        text: shared.into(),
    };
    Definition::parse_with(text, &Templates::from([(SHARED.parse().unwrap(), file)]))
}

fn wrong(text: &str, shared: &str) -> String {
    let problems = parsed(text, shared).err().unwrap_or_default();
    problems.iter().map(show).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_keys_of_a_job_win_and_its_variables_are_joined() {
    let file = "\
on: push
templates:
  base: { image: x, env: { A: base, B: base }, timeout: 2m, retry: 1, steps: [base] }
  more: { extends: base, env: { B: more, C: more }, timeout: 3m }
jobs:
  a: { extends: more, env: { C: own }, steps: [own] }
  b: { image: x, env: { A: base, B: more, C: own }, timeout: 3m, retry: 1, steps: [own] }
";
    let jobs = parsed(file, "").unwrap().jobs;
    let values = |job: &JobDefinition| {
        let WorkDefinition::Steps(work) = &job.work else {
            panic!("not steps")
        };
        let mut env: Vec<_> = work.env.iter().collect();
        env.sort_by_key(|(name, _)| name);
        let env = env.into_iter().map(|(_, value)| value.value.clone());
        let run = work.steps[0].run.clone();
        let env: Vec<_> = env.collect();
        (env, run, job.timeout_seconds, job.retry.attempts)
    };
    assert_eq!(values(&jobs[0]), values(&jobs[1]));
}

#[test]
fn a_template_of_another_repository_is_named_with_its_commit() {
    let shared = "templates: { test: { image: x, steps: [y] } }";
    let used = parsed(FILE, shared).unwrap().templates;
    let used: Vec<_> = used
        .iter()
        .map(|used| format!("{} is {}", used.source, used.commit))
        .collect();
    assert_eq!(
        used,
        ["acme/pipelines@v3:rust.yml is 0123456789abcdef0123456789abcdef01234567"]
    );
}

#[test]
fn what_is_wrong_in_a_borrowed_template_is_told_with_its_own_place() {
    let shared = [
        "templates:\n  test:\n    image: x\n    stpes: [y]\n",
        "templates:\n  test:\n    image: x\n    steps: [y]\n    timeout: 10\n",
        "templates:\n  test: { image: x, steps: [y], needs: b }\n",
        "templates:\n  test: { image: x, steps: [y], env: { A: '${{ inputs.x }}' } }\n",
        "templates:\n  test: { extends: base }\n  base: { image: x, steps: [''] }\n",
        "templates:\n  test: { extends: bsae }\n  base: { image: x, steps: [y] }\n",
        "templates: [",
        "jobs: {}\ntemplates: { other: { image: x, steps: [y] } }",
        "tempaltes: {}",
    ];
    let all: Vec<_> = shared.iter().map(|shared| wrong(FILE, shared)).collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn templates_that_cannot_be_found_or_lead_round_are_refused() {
    let job = |extends: &str| {
        format!(
            "on: push\ntemplates:\n  a: {{ extends: b }}\n  b: {{ extends: a }}\n  base: {{ image: x, steps: [y] }}\njobs:\n  a: {{ extends: {extends} }}\n"
        )
    };
    let extends = [
        "a",
        "bsae",
        "'acme/pipelines@v3:rust.yml'",
        "'acme/pipelines@v4:rust.yml#test'",
        "'acme@v3:rust.yml#test'",
        "'acme/pipelines@v3:../rust.yml#test'",
        "[a]",
        "''",
    ];
    let all: Vec<_> = extends
        .iter()
        .map(|extends| wrong(&job(extends), "templates: {}"))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn templates_extend_one_another_only_so_deep() {
    let templates: String = (0..10)
        .map(|n| format!("  t{n}: {{ extends: t{} }}\n", n + 1))
        .collect();
    let file = format!(
        "on: push\ntemplates:\n{templates}  t10: {{ image: x, steps: [y] }}\njobs:\n  a: {{ extends: t0 }}\n"
    );
    assert!(wrong(&file, "").contains("more than 8 deep, which is the limit"));
}

#[test]
fn what_fetched_files_want_is_wanted_too() {
    let file = |text: &str| Fetched::File {
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        text: text.into(),
    };
    let wanted = |fetched: &Templates| -> Vec<String> {
        let wanted = Definition::wanted(FILE, fetched);
        wanted.iter().map(ToString::to_string).collect()
    };
    let mut fetched = Templates::new();
    let first = wanted(&fetched);
    let text = "templates: { test: { extends: 'acme/base@main:all.yml#test' } }";
    fetched.insert(SHARED.parse().unwrap(), file(text));
    let second = wanted(&fetched);
    let nothing = Fetched::Missing("it is not there".into());
    fetched.insert("acme/base@main:all.yml".parse().unwrap(), nothing);
    assert_eq!(
        (first, second, wanted(&fetched)),
        (
            vec![SHARED.to_owned()],
            vec!["acme/base@main:all.yml".to_owned()],
            Vec::new()
        )
    );
}
