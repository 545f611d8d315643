//! What is not YAML, or is YAML that has no business here.

use super::*;

#[test]
fn what_is_not_yaml_is_explained_at_its_place() {
    let files = [
        "on: push\njobs:\n\ta: 1",
        "on: push\njobs:\n  a:\n\t  image: x",
        "on: push\njobs: [a, b",
        "on: push\njobs: {a: b",
        "on: [a}",
        "on: ]",
        "on: \"push\njobs: 1",
        "on: push\njobs:\n  a: 'it''s' x",
        "on: \"\\q\"",
        "on: push\n jobs:",
        "on: push\njobs:\n  a: b: c",
        "on: push\njobs",
        "on: push\njobs:\n  a:\n    steps:\n    - a\n   - b",
        "a: |\n  x\n y",
        "- a\nb: c",
        "on: @x",
        "on: %x",
        "on: \u{1}",
        "on: 'x'#y",
        "image: *x",
    ];
    insta::assert_snapshot!(report(&files));
}

#[test]
fn yaml_that_has_no_business_here_is_refused() {
    let files = [
        "",
        "# only a comment",
        "~",
        "text",
        "[on, jobs]",
        "on: push\n---\njobs:",
        "on: push\n...\njobs:",
        "%YAML 1.2\n---\non: push",
        "on: !!str push\njobs: !x {}",
        "on: push\njobs: &jobs { <<: *jobs }",
        "on: push\njobs: &jobs [*jobs]",
        "on: push\n? [a]\n: b\njobs:",
        "on: push\n: b\njobs:",
        "on: push\nenv: { A: \"x\\0y\" }\njobs: { a: { image: x, steps: [y] } }",
        "on: push\njobs: { a: { image: x, image: z, steps: [y] } }\non: push",
    ];
    insta::assert_snapshot!(report(&files));
}

const GOOD: &str =
    "on: push\njobs:\n  a:\n    image: x\n    steps:\n      - |\n        one\n        two\n";

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_change_nothing() {
    let plain = Definition::parse(GOOD).unwrap();
    let windows = GOOD.replace('\n', "\r\n");
    assert_eq!(Definition::parse(&windows).unwrap(), plain);
    assert_eq!(
        Definition::parse(&format!("\u{feff}{windows}")).unwrap(),
        plain
    );
    let bad = format!("\u{feff}{}", windows.replace("image", "imago"));
    assert_eq!(Definition::parse(&bad).unwrap_err()[0].line, 4);
    assert_eq!(Definition::parse(&bad).unwrap_err()[0].column, 5);
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let file = "on: push\nenv: { A: \"äöü€🦀\", B: ~ }\njobs: { a: { image: x, steps: [y] } }";
    assert_eq!(
        problems(file),
        "2:20 |B| `B` has no value (write `\"\"` for an empty text)"
    );
}

#[test]
fn an_alias_stands_for_its_value() {
    let file = "on: push\njobs:\n  a: &a { image: x, steps: &steps [y, z] }\n  b: *a\n  c: { image: w, steps: *steps }\n";
    let definition = Definition::parse(file).unwrap();
    assert_eq!(definition.jobs[0].work, definition.jobs[1].work);
    assert_eq!(definition.jobs().count(), 3);
}

#[test]
fn alias_bombs_are_refused_before_they_grow() {
    let mut file = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        let list = vec![alias; 10].join(", ");
        file.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let problems = problems(&file);
    assert!(
        problems.contains("repeat more than 262144 bytes"),
        "{problems}"
    );
    // One long text, repeated, is a bomb as well.
    let file = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(60_000),
        "*a, ".repeat(20_000)
    );
    let problems = super::problems(&file);
    assert!(
        problems.contains("repeat more than 262144 bytes"),
        "{problems}"
    );
}

#[test]
fn nesting_is_bounded_however_it_is_written() {
    let block: String = (0..40).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let lists = "- ".repeat(40);
    let flow = format!("a: {}{}", "[".repeat(33), "]".repeat(33));
    let endless = format!("a: {}", "{a: ".repeat(20_000));
    let by_alias =
        "a: &a [[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]\nb: [[[[[[[[[[[[[[*a]]]]]]]]]]]]]]\n";
    for file in [&block, &lists, &flow, &endless, by_alias] {
        let problems = problems(file);
        assert!(
            problems.contains("nested more than 32 levels"),
            "{problems}"
        );
    }
}
