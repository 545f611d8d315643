//! Payloads as GitHub sends them, shortened to what a reader needs; and some it never sends.

use pipelines::event::{EventKind, Trust};
use pipelines::ids::{RepoId, RunId};
use serde_json::{Value, json};

use super::{Incoming, Lost};

const SHA: &str = "1f3c9e0b7a6d5c4b3a291807f6e5d4c3b2a19080";
const BEFORE: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn common() -> Value {
    json!({
        "repository": {
            "id": 35_129_377, "node_id": "R_x", "name": "shop", "full_name": "acme/shop",
            "private": true, "owner": { "login": "acme", "id": 9 }, "default_branch": "main",
            "fork": false, "topics": [], "stargazers_count": 1e3,
        },
        "organization": { "login": "acme" },
        "sender": { "login": "ada", "id": 1, "type": "User" },
        "installation": { "id": 17, "node_id": "I_x" },
    })
}

fn with(more: Value) -> Value {
    let mut payload = common();
    for (name, value) in more.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

fn push(reference: &str) -> Value {
    with(json!({
        "ref": reference, "before": BEFORE, "after": SHA, "created": false, "deleted": false,
        "forced": false, "base_ref": null, "compare": "https://github.com/…",
        "commits": [{ "id": SHA, "added": ["a"], "removed": [], "modified": [] }],
        "head_commit": {
            "id": SHA, "tree_id": BEFORE, "distinct": true, "timestamp": "2026-11-24T10:00:00Z",
            "message": "Sell more\n\nA body.", "author": { "name": "Ada", "email": "a@x" },
        },
        "pusher": { "name": "ada", "email": "a@x" },
    }))
}

fn pull_request(action: &str, head_repo: Value) -> Value {
    with(json!({
        "action": action, "number": 7,
        "pull_request": {
            "number": 7, "title": "Add a till", "draft": false, "user": { "login": "bob" },
            "head": { "ref": "till", "sha": SHA, "label": "bob:till", "repo": head_repo },
            "base": {
                "ref": "main", "sha": BEFORE,
                "repo": { "id": 35_129_377, "full_name": "acme/shop" },
            },
        },
    }))
}

fn read(event: &str, payload: &Value) -> Incoming {
    Incoming::parse(event, payload.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn ignored(event: &str, payload: &Value) -> String {
    match read(event, payload) {
        Incoming::Ignored(words) | Incoming::Gone(_, _, words) => words,
        other => panic!("not ignored: {other:?}"),
    }
}

#[track_caller]
fn git(event: &str, payload: &Value) -> pipelines::event::GitEvent {
    match read(event, payload) {
        Incoming::Git(repo, event, _) => {
            assert_eq!((repo.id.0, repo.installation), (35_129_377, 17));
            assert_eq!(
                (repo.name.to_string().as_str(), repo.private),
                ("acme/shop", true)
            );
            *event
        }
        other => panic!("no event of git: {other:?}"),
    }
}

#[test]
fn a_push_to_a_branch() {
    let event = git("push", &push("refs/heads/feature/till"));
    assert_eq!(event.kind, EventKind::Push);
    assert_eq!(event.branch.unwrap().as_str(), "feature/till");
    assert_eq!(
        (event.commit.as_str(), event.before.unwrap().as_str()),
        (SHA, BEFORE)
    );
    assert_eq!(
        (event.title.as_str(), event.author.as_str()),
        ("Sell more", "ada")
    );
}

#[test]
fn a_new_branch_has_no_commit_before_it() {
    let mut payload = push("refs/heads/new");
    payload["before"] = json!(ZERO);
    assert_eq!(git("push", &payload).before, None);
}

#[test]
fn an_annotated_tag_is_told_by_its_commit() {
    let mut payload = push("refs/tags/v1.0");
    payload["after"] = json!(BEFORE);
    let event = git("push", &payload);
    assert_eq!(event.tag.unwrap().as_str(), "v1.0");
    assert_eq!((event.branch, event.commit.as_str()), (None, SHA));
}

#[test]
fn what_was_deleted_starts_nothing() {
    let mut payload = push("refs/heads/old");
    payload["after"] = json!(ZERO);
    payload["deleted"] = json!(true);
    payload["head_commit"] = Value::Null;
    assert_eq!(ignored("push", &payload), "`refs/heads/old` was deleted");
}

/// Name, where it stood, where it stands.
fn moved(event: &str, payload: &Value) -> (String, Option<String>, String) {
    match read(event, payload) {
        Incoming::Git(_, _, moved) | Incoming::Gone(_, moved, _) => {
            (moved.name, moved.before, moved.after)
        }
        other => panic!("nothing has moved: {other:?}"),
    }
}

#[test]
fn the_head_of_an_event_is_told_as_git_has_it() {
    let (before, sha) = (Some(BEFORE.to_owned()), SHA.to_owned());
    let branch = moved("push", &push("refs/heads/main"));
    assert_eq!(branch, ("refs/heads/main".into(), before, sha));
    // Of an annotated tag it is the tag itself, which is what stands at the ref.
    let mut tag = push("refs/tags/v1");
    (tag["before"], tag["after"]) = (json!(ZERO), json!(BEFORE));
    let tag = moved("push", &tag);
    assert_eq!(tag, ("refs/tags/v1".into(), None, BEFORE.to_owned()));
}

#[test]
fn the_moment_of_an_event_is_told_as_a_number_or_a_text_or_not_at_all() {
    let at = |payload: &Value| match read("push", payload) {
        Incoming::Git(_, _, moved) => moved.at.map(|at| at.0),
        other => panic!("nothing has moved: {other:?}"),
    };
    let mut payload = push("refs/heads/main");
    let mut moments = Vec::new();
    for pushed_at in [
        json!(5),
        json!("1970-01-01T00:00:06Z"),
        json!(1e300),
        Value::Null,
    ] {
        payload["repository"]["pushed_at"] = pushed_at;
        moments.push(at(&payload));
    }
    payload["found_at"] = json!(7);
    moments.push(at(&payload));
    assert_eq!(moments, [Some(5000), Some(6000), None, None, Some(7000)]);
}

#[test]
fn odd_names_are_ignored_with_the_rule_they_break() {
    for name in ["-rf", "a..b", "a b", "a\u{7}b", "", "x.lock", "@{0}"] {
        let words = ignored("push", &push(&format!("refs/heads/{name}")));
        assert!(words.contains("is not a valid branch name"), "{words}");
    }
    assert!(ignored("push", &push("refs/notes/x")).contains("neither a branch nor a tag"));
    // Odd, but a name: it is text and nothing else.
    assert_eq!(
        git("push", &push("refs/heads/$(reboot);'"))
            .branch
            .unwrap()
            .as_str(),
        "$(reboot);'"
    );
}

#[test]
fn a_pull_request_of_our_own_is_trusted_and_one_of_a_fork_is_not() {
    let own = json!({ "id": 35_129_377, "full_name": "acme/shop" });
    for action in ["opened", "reopened", "synchronize"] {
        let event = git("pull_request", &pull_request(action, own.clone()));
        assert_eq!(
            (event.kind, event.trust()),
            (EventKind::PullRequest, Trust::Trusted)
        );
        let pull = event.pull_request.unwrap();
        assert_eq!((pull.number, pull.base.as_str()), (7, "main"));
        assert_eq!(event.branch.unwrap().as_str(), "till");
    }
    // A fork may even have the same name; the number tells.
    for head in [json!({ "id": 1, "full_name": "acme/shop" }), Value::Null] {
        let event = git("pull_request", &pull_request("opened", head));
        assert_eq!(event.trust(), Trust::Fork);
    }
}

#[test]
fn other_actions_and_events_are_ignored_with_words() {
    let closed = pull_request("closed", Value::Null);
    assert!(ignored("pull_request", &closed).contains("`closed`"));
    for event in [
        "ping",
        "create",
        "delete",
        "installation",
        "star",
        "check_suite",
    ] {
        ignored(event, &json!({ "zen": "x" }));
    }
    assert!(ignored("star", &json!({})).contains("`star`"));
}

#[test]
fn an_event_without_repository_or_installation_is_not_for_us() {
    let mut payload = push("refs/heads/main");
    payload["installation"] = Value::Null;
    assert!(ignored("push", &payload).contains("installation"));
    assert!(
        ignored("push", &json!({ "organization": { "login": "acme" } })).contains("no repository")
    );
}

#[test]
fn a_renamed_repository_and_a_check_asked_for_again_are_understood() {
    let renamed = with(json!({ "action": "renamed", "changes": {} }));
    assert!(matches!(
        read("repository", &renamed),
        Incoming::Repository(_)
    ));
    let again =
        with(json!({ "action": "rerequested", "check_run": { "id": 5, "external_id": "42" } }));
    assert!(matches!(
        read("check_run", &again),
        Incoming::Rerun(_, RunId(42))
    ));
    let foreign = with(json!({ "action": "rerequested", "check_run": { "external_id": "x" } }));
    ignored("check_run", &foreign);
}

#[test]
fn what_the_app_was_taken_out_of_is_lost() {
    let removed = with(json!({
        "action": "removed", "repositories_removed": [{ "id": 5, "full_name": "acme/x" }],
    }));
    let lost = Incoming::Lost(Lost::Repositories(vec![RepoId(5)]));
    assert_eq!(read("installation_repositories", &removed), lost);
    let gone = with(json!({ "action": "deleted" }));
    assert_eq!(
        read("installation", &gone),
        Incoming::Lost(Lost::Installation(17))
    );
    let lost = Incoming::Lost(Lost::Repositories(vec![RepoId(35_129_377)]));
    assert_eq!(read("repository", &gone), lost);
    ignored("installation", &with(json!({ "action": "created" })));
}

#[test]
fn titles_become_one_line_that_harms_no_terminal() {
    let mut payload = push("refs/heads/main");
    payload["head_commit"]["message"] =
        json!(format!("\u{1b}[31mred\0\t{}\nmore", "x".repeat(300)));
    let title = git("push", &payload).title;
    assert!(
        title.starts_with(" [31mred  xxx") || title.starts_with("[31mred  xxx"),
        "{title}"
    );
    assert_eq!(title.chars().count(), 200);
}

/// F6
#[test]
fn what_is_no_payload_is_an_error_and_never_a_panic() {
    let deep = "[".repeat(100_000);
    let surrogate = r#"{"ref":"\ud800"}"#;
    for body in [
        deep.as_str(),
        "",
        "null",
        "[]",
        "{\"ref\":1}",
        "{\"ref\":\"a\",\"ref\":\"b\"}",
        surrogate,
    ] {
        let read = Incoming::parse("push", body.as_bytes());
        let harmless = matches!(read, Err(_) | Ok(Incoming::Ignored(_)));
        assert!(harmless, "{body:.20}: {read:?}");
    }
    Incoming::parse("push", b"\xff\xfe").unwrap_err();
    let huge = r#"{"number":1e400}"#;
    let _ = Incoming::parse("push", huge.as_bytes());
}
