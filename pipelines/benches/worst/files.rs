//! Files that are meant badly: small to write, and costly to believe.

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// A job with these keys, in a file that is otherwise right.
fn job(keys: &str) -> String {
    format!("on: push\njobs:\n  a: {{ image: x, steps: [y], {keys} }}\n")
}

/// All of them, with what each tries.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut all = shapes();
    all.extend(sizes());
    all
}

/// What is wrong with the YAML.
fn shapes() -> Vec<(&'static str, String)> {
    let levels = many(30, |n| {
        let alias = format!("*a{}", n.saturating_sub(1));
        let list = [if n == 0 { "x" } else { &alias }; 10].join(", ");
        format!("a{n}: &a{n} [{list}]\n")
    });
    vec![
        ("50 MB", "x".repeat(50 * 1024 * 1024)),
        ("alias bomb", levels),
        (
            "one long alias",
            format!(
                "a: &a {}\nb: [{}]\n",
                "x".repeat(60_000),
                "*a, ".repeat(20_000)
            ),
        ),
        ("200,000 lists in lists", "[".repeat(200_000)),
        ("100,000 lists by dashes", "- ".repeat(100_000)),
        (
            "20,000 mappings in mappings",
            format!("a: {}", "{a: ".repeat(20_000)),
        ),
        ("80,000 anchors", "&a ".repeat(80_000)),
        ("30,000 times the same key", "a: &a a\n".repeat(30_000)),
        ("30,000 unknown keys", many(30_000, |n| format!("k{n}:\n"))),
        ("100,000 complex keys", "? ".repeat(100_000)),
        ("200,000 quotes", "\"".repeat(200_000)),
        ("a tag", "on: !!python/object push\njobs: {}\n".into()),
        ("a merge key", "on: push\njobs: &a { <<: *a }\n".into()),
        ("tabs", "on: push\njobs:\n\ta: x\n".into()),
        ("a NUL", "on: push\nenv: { A: \"\\0\" }\njobs: {}\n".into()),
        (
            "half of UTF-16",
            "\u{fffd}\u{fffd}o\0n\0:\0 \0p\0u\0s\0h\0".into(),
        ),
        (
            "`on: yes`",
            "on: yes\njobs: { a: { image: x, steps: [y] } }\n".into(),
        ),
    ]
}

/// What asks for too much.
fn sizes() -> Vec<(&'static str, String)> {
    let axis = |count: usize| many(count, |n| format!("{n}, "));
    let (hundred, long) = (axis(100), axis(10_000));
    let needs = |n: usize| many(64, |k| format!("j{}, ", (n + k + 1) % 500));
    let round = many(500, |n| {
        format!(
            "  j{n}: {{ image: x, steps: [y], needs: [{}] }}\n",
            needs(n)
        )
    });
    let steps = format!("image: x, steps: [{}]", "y, ".repeat(200));
    let jobs = many(500, |n| format!("  j{n}: {{ {steps} }}\n"));
    let templates = many(100, |n| format!("  t{n}: {{ extends: t{} }}\n", n + 1));
    vec![
        (
            "a matrix of a million cells",
            job(&format!(
                "matrix: {{ a: [{hundred}], b: [{hundred}], c: [{hundred}] }}"
            )),
        ),
        (
            "a matrix of 10^32 cells",
            job(&format!(
                "matrix: {{ {} }}",
                many(16, |n| format!("a{n}: [{hundred}], "))
            )),
        ),
        (
            "10,000 patterns",
            job(&format!("when: {{ path: [{long}] }}")),
        ),
        (
            "25,000 expressions",
            job(&format!("env: {{ A: '{}' }}", "${{ x }}".repeat(25_000))),
        ),
        ("500 jobs in a round", format!("on: push\njobs:\n{round}")),
        ("a job that needs itself", job("needs: a")),
        (
            "200 steps in 500 jobs, with a long `env`",
            format!(
                "on: push\nenv: {{ A: {} }}\njobs:\n{}",
                "x".repeat(50_000),
                &jobs[..200_000.min(jobs.rfind("  j100:").unwrap_or(0))]
            ),
        ),
        (
            "100 templates in a row",
            format!("on: push\ntemplates:\n{templates}jobs:\n  a: {{ extends: t0 }}\n"),
        ),
    ]
}
