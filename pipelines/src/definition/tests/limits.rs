//! Every bound of a file says what it is.

use super::*;
use std::time::Instant;

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

#[track_caller]
fn check(file: &str, message: &str) {
    let problems = problems(file);
    assert!(problems.contains(message), "{problems}");
}

#[test]
fn each_bound_is_named_when_it_is_passed() {
    let jobs = many(501, |n| format!("  j{n}: {{ image: x, steps: [y] }}\n"));
    check(
        &format!("on: push\njobs:\n{jobs}"),
        "the file has 501 jobs; at most 500 may be",
    );
    let steps = many(201, |_| "      - x\n".into());
    let file = format!("on: push\njobs:\n  a:\n    image: x\n    steps:\n{steps}");
    check(&file, "the job has 201 steps; at most 200 may be");
    let needs = many(65, |n| format!("j{n}, "));
    let file = format!("on: push\njobs:\n  a: {{ image: x, steps: [y], needs: [{needs}] }}");
    check(&file, "the job has 65 needs; at most 64 may be");
    let file = format!("on: {{ push: {{ branches: [{needs}] }} }}\njobs: {{}}");
    check(&file, "`branches` has 65 patterns; at most 64 may be");
    let file = format!("on: push\njobs: {{ a: {{ build: {{ image: x, tags: [{needs}] }} }} }}");
    check(&file, "the image has 65 tags; at most 32 may be");
    let file = "# ".repeat(131_073);
    check(
        &file,
        "the file has 262146 bytes; a file may have at most 262144",
    );
}

#[test]
fn a_small_file_cannot_ask_for_a_huge_plan() {
    let steps = many(200, |_| "      - x\n".into());
    let file = format!(
        "on: push\nenv: {{ A: {} }}\njobs:\n  a:\n    image: x\n    steps:\n{steps}",
        "x".repeat(50_000)
    );
    check(&file, "have more than 8388608 bytes");
}

#[test]
fn no_more_problems_are_told_than_help() {
    let file = format!(
        "on: push\njobs: {{}}\n{}",
        many(5000, |n| format!("x{n}: y\n"))
    );
    assert_eq!(Definition::parse(&file).unwrap_err().len(), 100);
}

#[test]
fn the_worst_files_are_read_in_no_time() {
    let reversed = many(500, |n| {
        let needs = many(64, |k| format!("j{},", (n + k + 1).min(499)));
        format!("  j{n}: {{ image: x, steps: [y], needs: [{needs}] }}\n")
    });
    let files = [
        "[".repeat(200_000),
        "- ".repeat(100_000),
        "a: &a a\n".repeat(30_000),
        "&a ".repeat(80_000),
        "\"".repeat(200_000),
        "? ".repeat(100_000),
        "a:\n".repeat(80_000),
        many(40_000, |n| format!("k{n}:\n")),
        format!("on: push\njobs:\n{}", reversed),
        format!("a: |\n{}", "  x\n".repeat(60_000)),
        format!(
            "on: push\njobs: {{ a: {{ image: x, steps: ['{}'] }} }}",
            "${{ x }}".repeat(25_000)
        ),
    ];
    for file in files {
        let start = Instant::now();
        let _ = Definition::parse(&file);
        let took = start.elapsed();
        // Seconds, because this is a debug build on a busy machine; a tenth of that is usual.
        assert!(took.as_secs() < 5, "{took:?} for {}", &file[..40]);
    }
}
