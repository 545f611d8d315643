//! Secrets: sealed values, and the rules about who may have them. Nothing here can open one.

use pipelines::ids::RepoId;
use pipelines::names::{EnvironmentName, SecretName};
use pipelines::plan::JobKind;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx, cell};

/// Who may have a secret. Without a rule, every job that names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Only jobs of branches that these patterns mean; empty: of any branch or tag.
    pub branches: Vec<String>,
    /// Only deploys to these environments; empty: no such rule.
    pub environments: Vec<EnvironmentName>,
    /// Only jobs of these kinds; empty: of all.
    pub kinds: Vec<JobKind>,
}

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredSecret {
    /// None: it is for every repository.
    pub(crate) repo: Option<RepoId>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) rules: Rules,
}

/// Stores a secret, in place of the one that is there. False if there was none.
pub(crate) async fn upsert(
    tx: &mut Tx,
    name: &SecretName,
    secret: &StoredSecret,
    (actor, now): (&str, Timestamp),
) -> sqlx::Result<bool> {
    let rules = &secret.rules;
    let branches = match rules.branches.as_slice() {
        [] => None,
        patterns => Some(cell::to_json(&patterns)?),
    };
    let was_there = delete(tx, secret.repo, name).await?;
    sqlx::query(
        "insert into secrets \
         (repo_id, name, sealed, branches, environments, kinds, created_at, created_by, changed_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .bind(secret.repo.map(|repo| repo.0))
    .bind(name.as_str())
    .bind(&secret.sealed)
    .bind(branches)
    .bind(cell::to_json(&rules.environments)?)
    .bind(cell::to_json(&rules.kinds)?)
    .bind(was_there.unwrap_or(now.0))
    .bind(actor)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(was_there.is_some())
}

/// Removes a secret; none if there was none, else when it was made.
pub(crate) async fn delete(
    tx: &mut Tx,
    repo: Option<RepoId>,
    name: &SecretName,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("delete from secrets where repo_id is ? and name = ? returning created_at")
        .bind(repo.map(|repo| repo.0))
        .bind(name.as_str())
        .fetch_optional(&mut **tx)
        .await
}

#[derive(Debug, FromRow)]
struct Row {
    repo_id: Option<i64>,
    sealed: Vec<u8>,
    branches: Option<String>,
    environments: String,
    kinds: String,
}

impl Row {
    fn into_stored(self) -> sqlx::Result<StoredSecret> {
        Ok(StoredSecret {
            repo: self.repo_id.map(RepoId),
            sealed: self.sealed,
            rules: rules(self.branches.as_deref(), &self.environments, &self.kinds)?,
        })
    }
}

fn rules(branches: Option<&str>, environments: &str, kinds: &str) -> sqlx::Result<Rules> {
    Ok(Rules {
        branches: branches.map_or_else(|| Ok(Vec::new()), cell::json)?,
        environments: cell::json(environments)?,
        kinds: cell::json(kinds)?,
    })
}

/// The secret of that name that a repository's jobs mean: its own, else the one for all.
pub(crate) async fn find(
    db: &Reader,
    repo: RepoId,
    name: &SecretName,
) -> sqlx::Result<Option<StoredSecret>> {
    let row: Option<Row> = sqlx::query_as(
        "select repo_id, sealed, branches, environments, kinds from secrets \
         where name = ? and (repo_id = ? or repo_id is null) order by repo_id is null limit 1",
    )
    .bind(name.as_str())
    .bind(repo.0)
    .fetch_optional(db)
    .await?;
    row.map(Row::into_stored).transpose()
}

/// Any one secret, with its name: to try a key on.
pub(crate) async fn find_any(
    db: &Reader,
) -> sqlx::Result<Option<(Option<RepoId>, String, Vec<u8>)>> {
    let row: Option<(Option<i64>, String, Vec<u8>)> =
        sqlx::query_as("select repo_id, name, sealed from secrets order by id limit 1")
            .fetch_optional(db)
            .await?;
    Ok(row.map(|(repo, name, sealed)| (repo.map(RepoId), name, sealed)))
}

/// A secret as lists show it: never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSecret {
    /// Its name.
    pub name: String,
    /// `owner/name`; none: it is for every repository.
    pub repository: Option<String>,
    /// Who may have it.
    pub rules: Rules,
    /// When it was last set.
    pub changed_at: Timestamp,
}

#[derive(Debug, FromRow)]
struct ListedRow {
    name: String,
    repository: Option<String>,
    branches: Option<String>,
    environments: String,
    kinds: String,
    changed_at: i64,
}

/// Every secret, by name; those for all repositories first.
pub(crate) async fn list(db: &Reader) -> sqlx::Result<Vec<ListedSecret>> {
    let rows: Vec<ListedRow> = sqlx::query_as(
        "select secrets.name, repos.owner || '/' || repos.name as repository, secrets.branches, \
         secrets.environments, secrets.kinds, secrets.changed_at \
         from secrets left join repos on repos.id = secrets.repo_id \
         order by secrets.name, repository limit 10000",
    )
    .fetch_all(db)
    .await?;
    let listed = |row: ListedRow| {
        Ok(ListedSecret {
            rules: rules(row.branches.as_deref(), &row.environments, &row.kinds)?,
            name: row.name,
            repository: row.repository,
            changed_at: Timestamp(row.changed_at),
        })
    };
    rows.into_iter().map(listed).collect()
}
