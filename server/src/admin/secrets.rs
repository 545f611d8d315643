//! Secrets, from beside the server: set, listed, removed. A value goes in and never comes out.

use std::path::Path;

use pipelines::ids::RepoId;
use pipelines::limits::SECRET_BYTES_MAX;
use pipelines::names::{RepoName, SecretName};
use pipelines::pattern::Patterns;
use secrecy::{ExposeSecret, SecretString};

use super::{ACTOR, AdminError, missing};
use crate::clock::Clock;
use crate::secrets::{Key, KeyError, Place};
use crate::store::secrets::{self, StoredSecret};
use crate::store::{Reader, Store, audit, repos};

pub use crate::store::secrets::{ListedSecret, Rules};

/// A secret to set, besides its value.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// Its name.
    pub name: &'a str,
    /// `owner/name`; none: it is for every repository.
    pub repository: Option<&'a str>,
    /// Who may have it.
    pub rules: Rules,
}

/// Sets a secret, in place of the one of that name and repository. The key is made if this is the
/// first. Says whether there was one.
pub async fn set(
    (data, key_file): (&Path, &Path),
    change: Change<'_>,
    value: SecretString,
) -> Result<bool, AdminError> {
    let name = name(change.name)?;
    check_value(&value)?;
    check_rules(&change.rules)?;
    let store = Store::attach(data).await?;
    let repo = find_repo(store.reader(), change.repository).await?;
    let key = key(store.reader(), key_file).await?;
    let place = Place {
        repo,
        name: name.as_str(),
    };
    let secret = StoredSecret {
        repo,
        sealed: key.seal(place, &value),
        rules: change.rules,
    };
    let now = Clock.now();
    let mut tx = store.begin().await?;
    let was_there = secrets::upsert(&mut tx, &name, &secret, (ACTOR, now)).await?;
    let what = (ACTOR, "secret.set", name.as_str());
    audit::record(
        &mut tx,
        now,
        what,
        &detail(change.repository, &secret.rules),
    )
    .await?;
    tx.commit().await?;
    Ok(was_there)
}

/// Every secret, without its value.
pub async fn list(data: &Path) -> Result<Vec<ListedSecret>, AdminError> {
    Ok(secrets::list(Store::attach(data).await?.reader()).await?)
}

/// Removes a secret: the next job that names it does without, or fails.
pub async fn remove(data: &Path, text: &str, repository: Option<&str>) -> Result<(), AdminError> {
    let name = name(text)?;
    let (store, now) = (Store::attach(data).await?, Clock.now());
    let repo = find_repo(store.reader(), repository).await?;
    let mut tx = store.begin().await?;
    if secrets::delete(&mut tx, repo, &name).await?.is_none() {
        return Err(missing("secret", text));
    }
    let what = (ACTOR, "secret.remove", name.as_str());
    audit::record(&mut tx, now, what, repository.unwrap_or("every repository")).await?;
    Ok(tx.commit().await?)
}

/// Whether the secrets that there are can be opened.
pub(crate) async fn check(db: &Reader, key_file: &Path) -> Result<(), AdminError> {
    if secrets::find_any(db).await?.is_some() {
        key(db, key_file).await?;
    }
    Ok(())
}

/// The key: made for the first secret, and else the one that the others are sealed with.
async fn key(db: &Reader, path: &Path) -> Result<Key, AdminError> {
    let Some((repo, name, sealed)) = secrets::find_any(db).await? else {
        return Ok(Key::read_or_make(path)?);
    };
    let key = Key::read(path)?;
    let name = name.as_str();
    key.open(Place { repo, name }, &sealed)?;
    Ok(key)
}

fn name(text: &str) -> Result<SecretName, AdminError> {
    text.parse().map_err(|error| refused(&error))
}

fn refused(words: &dyn std::fmt::Display) -> AdminError {
    AdminError::Refused(words.to_string())
}

/// What a variable and a file of a step can hold. The value itself is in no message.
fn check_value(value: &SecretString) -> Result<(), AdminError> {
    let bytes = value.expose_secret().len();
    if bytes == 0 {
        return Err(refused(&"the value is empty: give it on standard input"));
    }
    if bytes > SECRET_BYTES_MAX {
        return Err(refused(&format_args!(
            "the value has {bytes} bytes; {SECRET_BYTES_MAX} are allowed"
        )));
    }
    if value.expose_secret().contains('\0') {
        return Err(refused(
            &"the value holds a zero byte, which no variable can",
        ));
    }
    Ok(())
}

fn check_rules(rules: &Rules) -> Result<(), AdminError> {
    let mut patterns = Patterns::default();
    for text in &rules.branches {
        patterns.add(text).map_err(|error| refused(&error))?;
    }
    Ok(())
}

async fn find_repo(db: &Reader, text: Option<&str>) -> Result<Option<RepoId>, AdminError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let name: RepoName = text.parse().map_err(|error| refused(&error))?;
    match repos::find_by_name(db, &name).await? {
        Some(repo) => Ok(Some(repo.id)),
        None => Err(refused(&format_args!(
            "repository {name} is not known here: it is once the GitHub App is installed there and something was pushed"
        ))),
    }
}

/// Whose it is and who may have it, for the audit log.
fn detail(repository: Option<&str>, rules: &Rules) -> String {
    let whose = repository.unwrap_or("every repository");
    format!("{whose}{}", words(rules))
}

/// The rules, as the command line is told them.
pub fn words(rules: &Rules) -> String {
    let branches = rules
        .branches
        .iter()
        .map(|text| format!(" --branch {text}"));
    let environments = rules
        .environments
        .iter()
        .map(|name| format!(" --environment {name}"));
    let kinds = rules
        .kinds
        .iter()
        .map(|kind| format!(" --kind {}", kind.as_str()));
    branches.chain(environments).chain(kinds).collect()
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Change<'_> {
        Change {
            name,
            repository: None,
            rules: Rules::default(),
        }
    }

    fn value(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[tokio::test]
    async fn a_secret_is_set_listed_and_removed_and_each_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let (data, key) = (folder.path(), folder.path().join("secret.key"));
        let server = Store::open(data).await.unwrap();
        let rules = Rules {
            branches: vec!["main".into()],
            kinds: vec![pipelines::plan::JobKind::Build],
            ..Rules::default()
        };
        let with_rules = Change {
            rules,
            ..change("npm_token")
        };
        assert!(
            !set((data, &key), change("npm_token"), value("one"))
                .await
                .unwrap()
        );
        assert!(set((data, &key), with_rules, value("two")).await.unwrap());
        let listed = list(data).await.unwrap();
        let lines: Vec<_> = listed
            .iter()
            .map(|one| format!("{}{}", one.name, words(&one.rules)))
            .collect();
        assert_eq!(lines, ["npm_token --branch main --kind build"]);
        remove(data, "npm_token", None).await.unwrap();
        assert_eq!(
            remove(data, "npm_token", None)
                .await
                .unwrap_err()
                .exit_code(),
            1
        );
        let rows: Vec<(String, String)> =
            sqlx::query_as("select action || ' ' || subject, detail from audit order by id")
                .fetch_all(server.reader())
                .await
                .unwrap();
        let wanted = [
            ("secret.set npm_token", "every repository"),
            (
                "secret.set npm_token",
                "every repository --branch main --kind build",
            ),
            ("secret.remove npm_token", "every repository"),
        ];
        let wanted = wanted.map(|(what, detail)| (what.to_owned(), detail.to_owned()));
        assert_eq!(rows, wanted);
    }

    #[tokio::test]
    async fn what_cannot_be_a_secret_is_refused_without_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let (data, key) = (folder.path(), folder.path().join("secret.key"));
        let _server = Store::open(data).await.unwrap();
        let large = "x".repeat(SECRET_BYTES_MAX + 1);
        let mut told = Vec::new();
        for (name, text) in [
            ("Npm-Token", "v"),
            ("a", ""),
            ("a", &large),
            ("a", "can\0ary"),
        ] {
            told.push(
                set((data, &key), change(name), value(text))
                    .await
                    .unwrap_err(),
            );
        }
        let foreign = Change {
            repository: Some("acme/none"),
            ..change("a")
        };
        told.push(set((data, &key), foreign, value("v")).await.unwrap_err());
        let mut glob = change("a");
        glob.rules.branches.push("ma?n".into());
        told.push(set((data, &key), glob, value("v")).await.unwrap_err());
        assert!(told.iter().all(|error| error.exit_code() == 2));
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        `Npm-Token` is not a valid secret name: use 1 to 63 of a-z, 0-9, `_`, beginning with a letter; not the name of a variable that already means something, as `path`, `home`, `ld_…` or `seaworthy_…`
        the value is empty: give it on standard input
        the value has 65537 bytes; 65536 are allowed
        the value holds a zero byte, which no variable can
        repository acme/none is not known here: it is once the GitHub App is installed there and something was pushed
        `ma?n` is not a valid pattern: only `*`, `**` and a leading `!` have a meaning; `?`, `[`, `{` and `\` have none
        ");
        assert!(!key.exists());
    }

    #[tokio::test]
    async fn another_key_is_refused_while_there_are_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let (data, key) = (folder.path(), folder.path().join("secret.key"));
        let _server = Store::open(data).await.unwrap();
        set((data, &key), change("a"), value("v")).await.unwrap();
        let elsewhere = folder.path().join("other.key");
        let missing = set((data, &elsewhere), change("b"), value("v"))
            .await
            .unwrap_err();
        assert!(
            matches!(missing, AdminError::Key(KeyError::Missing(_))),
            "{missing}"
        );
        std::fs::write(&elsewhere, "ab".repeat(32)).unwrap();
        let other = set((data, &elsewhere), change("b"), value("v"))
            .await
            .unwrap_err();
        assert!(
            matches!(other, AdminError::Key(KeyError::Other { .. })),
            "{other}"
        );
        assert_eq!(other.exit_code(), 4);
    }
}
