use super::*;

#[track_caller]
fn check(patterns: &str, out: &[&str], kept: &[&str]) {
    let ignore = Ignore::parse(patterns).unwrap();
    for path in out {
        assert!(
            ignore.leaves_out(path),
            "{patterns:?} should leave out {path}"
        );
    }
    for path in kept {
        assert!(!ignore.leaves_out(path), "{patterns:?} should keep {path}");
    }
}

#[test]
fn patterns_are_anchored_at_the_root_unlike_gits() {
    check(
        "target",
        &["target", "target/a", "target/a/b"],
        &["x/target", "targets", "atarget"],
    );
    check("/target/", &["target", "target/a"], &["x/target"]);
    check(
        "*.log",
        &["a.log", ".log"],
        &["x/a.log", "a.log.gz", "alog"],
    );
    check(
        "*/temp*",
        &["a/temp", "a/temporary.txt"],
        &["temp", "a/b/temp"],
    );
    check("*/*/temp*", &["a/b/temp"], &["a/temp", "a/b/c/temp"]);
    check(
        "temp?",
        &["tempa", "tempb/x"],
        &["temp", "tempab", "temp/a"],
    );
}

#[test]
fn two_stars_cross_folders() {
    check(
        "**/node_modules",
        &["node_modules", "a/node_modules", "a/b/node_modules/c"],
        &["node_modules2"],
    );
    check("**/*.go", &["a.go", "a/b.go", "a/b/c.go"], &["a.gox"]);
    check("a/**", &["a/b", "a/b/c"], &["a", "ab"]);
    check("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["z", "a/zz"]);
    check("**", &["a", "a/b", ".x"], &[]);
    check("**/", &["a", "a/b"], &[]);
}

#[test]
fn quirks_of_docker_are_kept() {
    // Compared as the end of the text.
    check("**foo", &["foo", "barfoo", "a/barfoo"], &["foob"]);
    check("foo**", &["foo", "foobar", "foo/bar"], &["fo"]);
    check(".", &[], &["a", ".git"]);
    check("../outside", &[], &["outside", "a"]);
    check("./a/../b", &["b"], &["a"]);
}

#[test]
fn the_last_pattern_that_matches_decides() {
    check("*.md\n!README.md", &["a.md"], &["README.md"]);
    check(
        "*.md\n!README*.md\nREADME-secret.md",
        &["a.md", "README-secret.md"],
        &["README-x.md"],
    );
    check(
        "*.md\nREADME-secret.md\n!README*.md",
        &["a.md"],
        &["README-secret.md"],
    );
    check(
        "*\n!src",
        &["a", "a/src", "Makefile"],
        &["src", "src/main.rs"],
    );
    check(
        "*\n!src/**\nsrc/*.tmp",
        &["a", "src", "src/x.tmp"],
        &["src/main.rs", "src/a/x.tmp"],
    );
    check("!a\na", &["a"], &[]);
    check(
        "dir\n! dir/keep ",
        &["dir", "dir/x"],
        &["dir/keep", "dir/keep/y"],
    );
}

#[test]
fn comments_blanks_marks_and_classes() {
    check(
        "\u{feff}# all\n\n  \n  spaced  \n#x",
        &["spaced"],
        &["#x", "all"],
    );
    check(" #a", &["#a"], &[]);
    check("a[bc]d", &["abd", "acd"], &["aed", "a[bc]d"]);
    check("a[^b]c", &["axc"], &["abc"]);
    check("a[a-c]", &["ab"], &["ad"]);
    check("\\*a", &["*a"], &["xa"]);
    check("a.b", &["a.b"], &["axb"]);
    check("a+(b)|{c}", &["a+(b)|{c}"], &["aab"]);
    check("ä?", &["äß"], &["ä"]);
    check("a\r\nb\r\n", &["a", "b"], &[]);
}

#[test]
fn what_is_no_pattern_is_refused_with_its_line() {
    for (text, line) in [("!", 1), ("a\n[", 2), ("\\", 1), ("a\nb\n!  ", 3)] {
        let error = Ignore::parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}");
    }
}
