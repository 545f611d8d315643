//! Repositories, by GitHub's numeric id: names change, the id does not.

use pipelines::ids::RepoId;
use pipelines::names::{BranchName, RepoName};
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx, cell};

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repo {
    pub(crate) id: RepoId,
    /// The installation of the App through which it can be reached.
    pub(crate) installation: u64,
    pub(crate) name: RepoName,
    pub(crate) default_branch: BranchName,
    pub(crate) private: bool,
}

#[derive(Debug, FromRow)]
struct RepoRow {
    id: i64,
    installation_id: i64,
    owner: String,
    name: String,
    default_branch: String,
    private: bool,
}

impl RepoRow {
    fn into_repo(self) -> sqlx::Result<Repo> {
        Ok(Repo {
            id: RepoId(self.id),
            installation: u64::try_from(self.installation_id).map_err(sqlx::Error::decode)?,
            name: cell::parse(&format!("{}/{}", self.owner, self.name))?,
            default_branch: cell::parse(&self.default_branch)?,
            private: self.private,
        })
    }
}

/// Stores what is now known of a repository. Whoever had the name before has been renamed or is
/// gone, and we have not heard of it yet: it keeps its history under a name that says so, and that is
/// no longer than a name may be.
pub(crate) async fn upsert(tx: &mut Tx, repo: &Repo, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "update repos set name = substr(name, 1, 70) || '-former-' || id \
         where owner = ? collate nocase and name = ? collate nocase and id <> ?",
    )
    .bind(repo.name.owner())
    .bind(repo.name.name())
    .bind(repo.id.0)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into repos (id, installation_id, owner, name, default_branch, private, created_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         on conflict (id) do update set installation_id = ?2, owner = ?3, name = ?4, \
         default_branch = ?5, private = ?6",
    )
    .bind(repo.id.0)
    .bind(i64::try_from(repo.installation).unwrap_or(i64::MAX))
    .bind(repo.name.owner())
    .bind(repo.name.name())
    .bind(repo.default_branch.as_str())
    .bind(repo.private)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The repository with that id.
pub(crate) async fn find(db: &Reader, id: RepoId) -> sqlx::Result<Option<Repo>> {
    let row: Option<RepoRow> = sqlx::query_as(
        "select id, installation_id, owner, name, default_branch, private from repos where id = ?",
    )
    .bind(id.0)
    .fetch_optional(db)
    .await?;
    row.map(RepoRow::into_repo).transpose()
}

/// All repositories.
pub(crate) async fn all(db: &Reader) -> sqlx::Result<Vec<Repo>> {
    let rows: Vec<RepoRow> = sqlx::query_as(
        "select id, installation_id, owner, name, default_branch, private from repos \
         order by id limit 100000",
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(RepoRow::into_repo).collect()
}

/// The repository of that name.
pub(crate) async fn find_by_name(db: &Reader, name: &RepoName) -> sqlx::Result<Option<Repo>> {
    let row: Option<RepoRow> = sqlx::query_as(
        "select id, installation_id, owner, name, default_branch, private from repos \
         where owner = ? collate nocase and name = ? collate nocase",
    )
    .bind(name.owner())
    .bind(name.name())
    .fetch_optional(db)
    .await?;
    row.map(RepoRow::into_repo).transpose()
}

/// The ids of the repositories that are reached through an installation.
pub(crate) async fn of_installation(db: &Reader, installation: u64) -> sqlx::Result<Vec<RepoId>> {
    let ids: Vec<i64> = sqlx::query_scalar("select id from repos where installation_id = ?")
        .bind(i64::try_from(installation).unwrap_or(i64::MAX))
        .fetch_all(db)
        .await?;
    Ok(ids.into_iter().map(RepoId).collect())
}

/// The public repository of that name.
pub(crate) async fn find_public(
    db: &Reader,
    owner: &str,
    name: &str,
) -> sqlx::Result<Option<RepoId>> {
    let id: Option<i64> = sqlx::query_scalar(
        "select id from repos where owner = ? collate nocase and name = ? collate nocase \
         and private = 0",
    )
    .bind(owner)
    .bind(name)
    .fetch_optional(db)
    .await?;
    Ok(id.map(RepoId))
}
