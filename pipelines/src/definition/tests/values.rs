//! A value keeps its spelling, and a span of time its meaning.

use super::*;

fn env(value: &str) -> String {
    let file = format!("on: push\nenv:\n  A: {value}\njobs: {{ a: {{ image: x, steps: [y] }} }}\n");
    let definition = Definition::parse(&file).unwrap();
    definition.env[0].1.value.literal().unwrap().to_owned()
}

#[test]
fn numbers_and_words_keep_their_spelling() {
    let values = [
        "3.10",
        "1e3",
        "0x10",
        "0o17",
        "1_000",
        "+1",
        ".5",
        "010",
        "yes",
        "no",
        "on",
        "True",
        "NaN",
        ".nan",
        ".inf",
        "2026-11-24",
        "12:30:00",
        "0b1",
        "99999999999999999999999",
    ];
    for value in values {
        assert_eq!(env(value), value);
    }
    assert_eq!(env("'null'"), "null");
    assert_eq!(env("\"\""), "");
    assert_eq!(env("'  spaces  '"), "  spaces  ");
    assert_eq!(env("|\n    two\n    lines"), "two\nlines\n");
}

#[test]
fn an_empty_value_is_not_guessed_at() {
    for value in ["", "~", "null"] {
        let file =
            format!("on: push\nenv: {{ A: {value} }}\njobs: {{ a: {{ image: x, steps: [y] }} }}\n");
        assert_eq!(
            problems(&file),
            "2:8 |A| `A` has no value (write `\"\"` for an empty text)"
        );
    }
}

#[test]
fn variables_have_names_that_a_shell_can_read() {
    let bodies = [
        "image: x\nsteps: [y]\nenv: { A-B: 1, 1A: 2, '': 3, SEAWORTHY_BRANCH: x, _ok: y, Ä: z }",
        "image: x\nsteps: [y]\nenv: { A: [1], B: { C: d } }",
        "image: x\nsteps: [y]\nenv: [A=b]",
        "build: { image: x, args: { SEAWORTHY_X: y } }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn gaps_are_from_a_fixed_list() {
    let bodies = [
        "image: x\nsteps: [y]\nenv: { A: '${{ branch }}${{tag}}${{ short_commit }} ${{ repository}}' }",
        "image: x\nsteps: [y]\nenv: { A: '${{ brunch }}', B: '${{ secrets.X }}', C: '${{', D: '${{}}', E: 'a } b' }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn a_span_of_time_has_units() {
    let seconds = |text: &str| {
        let file = format!("on: push\njobs: {{ a: {{ image: x, steps: [y], timeout: {text} }} }}");
        Definition::parse(&file)
            .map(|definition| definition.jobs[0].timeout_seconds)
            .ok()
    };
    assert_eq!(
        ["90s", "10m", "1h30m", "1h1m1s", "24h", "0h5m"].map(seconds),
        [90, 600, 5400, 3661, 86400, 300].map(Some)
    );
    let wrong = [
        "10",
        "0s",
        "24h1s",
        "1d",
        "m",
        "1.5h",
        "-1m",
        "30m1h",
        "1 m",
        "''",
        "99999999999999999999h",
    ];
    assert_eq!(wrong.map(seconds), [None; 11]);
    let bodies = [
        "image: x\nsteps: [y]\ntimeout: 10",
        "image: x\nsteps: [y]\ntimeout: 25h",
        "image: x\nsteps: [y]\ntimeout: 0m\nretry: -1",
        "image: x\nsteps: [y]\nretry: 11",
        "image: x\nsteps: [y]\nretry: [1]",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}
