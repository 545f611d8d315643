use super::*;

#[track_caller]
fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(text.parse::<T>().is_ok(), "`{text}` should be accepted");
    }
    for text in bad {
        assert!(text.parse::<T>().is_err(), "`{text}` should be refused");
    }
}

#[test]
fn job_names_are_short_lower_case_words() {
    let long = "a".repeat(64);
    check::<JobName>(
        &["a", "unit-test_2", "0"],
        &["", "-a", "A", "a b", "a/b", "ä", &long],
    );
}

#[test]
fn secrets_never_take_a_variable_that_already_means_something() {
    check::<SecretName>(
        &["npm_token", "a", "path_to_key", "ci_token", "old"],
        &[
            "",
            "_a",
            "0a",
            "A",
            "path",
            "home",
            "ld_preload",
            "seaworthy_token",
            "ci",
        ],
    );
}

#[test]
fn branches_follow_git_and_never_look_like_options() {
    check::<BranchName>(
        &["main", "feature/x", "$(reboot)", "a#b%20\"", "ünï"],
        &[
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a\nb",
            "x.lock",
            "a//b",
            "/a",
            "a/",
            "a@{1}",
        ],
    );
}

#[test]
fn image_repositories_have_no_tag_and_no_digest() {
    check::<ImageRepository>(
        &[
            "shop",
            "acme/shop",
            "127.0.0.1:5050/acme/shop",
            "registry.acme.dev/a/b_c",
        ],
        &[
            "",
            "acme/shop:1",
            "acme/shop@sha256:00",
            "Acme/shop",
            "acme//shop",
            "/shop",
            "a b",
        ],
    );
}

#[test]
fn repositories_are_owner_and_name() {
    check::<RepoName>(
        &["acme/shop", "A.b-c/D_e"],
        &["acme", "acme/", "/shop", "a/b/c", "a/..", "../a"],
    );
}

#[test]
fn a_digest_and_a_commit_are_lower_case_hexadecimal_of_full_length() {
    let (sha, digest) = ("0".repeat(40), format!("sha256:{}", "a".repeat(64)));
    check::<CommitSha>(&[&sha], &[&sha[1..], &"G".repeat(40), &"A".repeat(40)]);
    check::<Digest>(&[&digest], &[&digest[1..], &digest[..70], "sha256:"]);
}

#[test]
fn a_refusal_says_what_was_wanted_and_why() {
    let error = "Bad Name".parse::<JobName>().unwrap_err().to_string();
    insta::assert_snapshot!(error, @"`Bad Name` is not a valid job name: use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit");
}
