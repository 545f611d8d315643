//! The environments of a repository, as its default branch last declared them.

use pipelines::environment::Environment;
use pipelines::ids::RepoId;

use super::Tx;

/// Stores one environment at its place in the promotion order; what is live there stays.
pub(crate) async fn upsert(
    tx: &mut Tx,
    (repo, position): (RepoId, usize),
    environment: &Environment,
    branches: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into environments (repo_id, name, position, namespace, branches, after_environment) \
         values (?1, ?2, ?3, ?4, ?5, ?6) \
         on conflict (repo_id, name) do update set position = ?3, namespace = ?4, branches = ?5, \
         after_environment = ?6",
    )
    .bind(repo.0)
    .bind(environment.name.as_str())
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(environment.namespace.as_str())
    .bind(branches)
    .bind(environment.after.as_ref().map(AsRef::<str>::as_ref))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the environments that are not declared any more; `names` is a JSON list of those that
/// are. Deploys to the others stay in the history.
pub(crate) async fn delete_others(tx: &mut Tx, repo: RepoId, names: &str) -> sqlx::Result<()> {
    sqlx::query(
        "delete from environments \
         where repo_id = ? and name not in (select value from json_each(?))",
    )
    .bind(repo.0)
    .bind(names)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
