use super::*;

#[track_caller]
fn check(patterns: &[&str], matching: &[&str], other: &[&str]) {
    let mut list = Patterns::default();
    for pattern in patterns {
        list.add(pattern).unwrap();
    }
    for text in matching {
        assert!(list.matches(text), "{patterns:?} should match `{text}`");
    }
    for text in other {
        assert!(
            !list.matches(text),
            "{patterns:?} should not match `{text}`"
        );
    }
}

#[test]
fn a_star_stays_within_one_part() {
    check(
        &["release/*"],
        &["release/1", "release/"],
        &["release", "release/1/2", "xrelease/1"],
    );
    check(&["*"], &["main"], &["a/b"]);
    check(&["v*.*"], &["v1.2", "v1.2.3", "v."], &["v1", "1.2"]);
    check(&["*a*a*"], &["aa", "xaxax"], &["a", "xax"]);
}

#[test]
fn two_stars_stand_for_any_number_of_whole_parts() {
    check(&["**"], &["main", "a/b/c", ""], &[]);
    check(&["shop/**"], &["shop/a", "shop/a/b"], &["shop", "shops/a"]);
    check(&["**/*.md"], &["a.md", "x/y/a.md"], &["a.rs", "a.md/b"]);
    check(
        &["a/**/b"],
        &["a/b", "a/x/b", "a/x/y/b"],
        &["a", "b", "a/bb"],
    );
    check(
        &["**/a/**/b"],
        &["a/b", "a/a/x/b", "x/a/y/b"],
        &["a", "b/a"],
    );
}

#[test]
fn an_exclamation_mark_excludes_whatever_the_order() {
    check(
        &["shop/**", "!**/*.md"],
        &["shop/a.rs"],
        &["shop/a.md", "b.rs"],
    );
    check(
        &["!**/*.md", "shop/**"],
        &["shop/a.rs"],
        &["shop/a.md", "b.rs"],
    );
    check(&["!main"], &["feature"], &["main"]);
}

#[test]
fn globs_of_other_tools_are_refused_with_the_rule() {
    for text in [
        "",
        "!",
        "a?",
        "[ab]",
        "{a,b}",
        "a\\b",
        "a**",
        "/a",
        "a//b",
        "shop/",
        &"a".repeat(256),
    ] {
        assert!(
            Patterns::default().add(text).is_err(),
            "`{text}` should be refused"
        );
    }
}

#[test]
fn a_list_reads_as_a_phrase() {
    let phrase = |texts: &[&str]| {
        let mut list = Patterns::default();
        texts.iter().for_each(|text| list.add(text).unwrap());
        list.to_string()
    };
    assert_eq!(
        phrase(&["main", "release/*", "!release/old"]),
        "main or release/*, but not release/old"
    );
    assert_eq!(phrase(&["!main"]), "any but main");
}

#[test]
fn the_worst_pattern_costs_no_more_than_the_product_of_lengths() {
    let mut list = Patterns::default();
    list.add("**/*a*a/".repeat(30).trim_end_matches('/'))
        .unwrap();
    assert!(!list.matches(&"a/".repeat(5000)));
}
