use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::logs::JobLog;
use crate::tests::forge::{Forge, TOKEN};

/// Fetches into a fresh folder; answers the result, the log, and the folder.
async fn fetch(
    from: Checkout,
    commit: CommitSha,
) -> (Result<(), CheckoutError>, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("checkout");
    let env = [("PATH".to_owned(), std::env::var("PATH").unwrap())];
    let fetch = Fetch {
        from: &from,
        commit: &commit,
        folder: &target,
        env: &env,
    };
    let (log, mut local) = JobLog::local();
    let step = log.step(0);
    drop(log);
    let run = async {
        let done = fetch.run(&step, &CancellationToken::new()).await;
        drop(step);
        done
    };
    let read = async {
        let mut text = String::new();
        while let Some(record) = local.next().await {
            text.push_str(&String::from_utf8_lossy(&record));
        }
        text
    };
    let (done, log) = tokio::join!(run, read);
    (done, log, folder)
}

fn contains(folder: &Path, word: &str) -> bool {
    let output = std::process::Command::new("grep")
        .args(["-r", "-q", "-F", "--", word])
        .arg(folder)
        .status();
    output.unwrap().success()
}

#[tokio::test]
async fn one_commit_arrives_and_nothing_of_the_credential_stays() {
    let forge = Forge::start(&[("a", "1"), (".gitattributes", "* filter=evil\n")]).await;
    let (done, log, folder) = fetch(forge.checkout(), forge.commit()).await;
    assert_eq!(done, Ok(()), "{log}");
    let checkout = folder.path().join("checkout");
    assert_eq!(std::fs::read_to_string(checkout.join("a")).unwrap(), "1");
    let pair = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    for word in [TOKEN, pair.as_str(), "x-access-token"] {
        assert!(
            !contains(folder.path(), word) && !log.contains(word),
            "{word}"
        );
    }
    assert!(checkout.join(".git/shallow").exists());
    let hooks = checkout.join(".git/hooks");
    assert!(!hooks.exists() || std::fs::read_dir(hooks).unwrap().next().is_none());
    assert!(std::fs::metadata(checkout).unwrap().permissions().mode() & 0o400 != 0);
}

/// F58
#[tokio::test]
async fn refusals_have_words_and_blame_the_right_side() {
    let forge = Forge::start(&[]).await;
    let gone: CommitSha = "2".repeat(40).parse().unwrap();
    let (done, _, _folder) = fetch(forge.checkout(), gone).await;
    assert!(matches!(done, Err(CheckoutError::Gone(_))), "{done:?}");
    let mut wrong = forge.checkout();
    wrong.token = Some("wrong".into());
    let (done, log, _folder) = fetch(wrong, forge.commit()).await;
    assert!(
        matches!(done, Err(CheckoutError::Infrastructure(_))),
        "{done:?}"
    );
    assert!(!log.contains("wrong"), "{log}");
}

#[tokio::test]
async fn only_plain_http_addresses_are_fetched_from() {
    let commit: CommitSha = "3".repeat(40).parse().unwrap();
    for url in [
        "file:///etc",
        "ext::sh -c id",
        "ssh://git@example.com/x",
        "--upload-pack=id",
        "git://example.com/x",
        "https://me:secret@example.com/x",
        "/etc",
    ] {
        let from = Checkout {
            url: url.into(),
            token: None,
        };
        let (done, log, folder) = fetch(from, commit.clone()).await;
        assert!(
            matches!(done, Err(CheckoutError::Infrastructure(_))),
            "{url} {done:?}"
        );
        assert!(!folder.path().join("checkout").exists());
        assert!(!log.contains("secret"));
    }
}
