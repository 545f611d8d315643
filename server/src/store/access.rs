//! Who may come in: tokens of programs and runners, sign-in links, sessions. Only digests are stored.

use pipelines::ids::RunnerId;
use pipelines::timestamp::Timestamp;

use super::{Reader, Tx};

/// The one person there is, until users have names.
pub const ADMIN: &str = "admin";
/// How long a session holds.
pub const SESSION_DAYS: i64 = 30;
/// How long a sign-in link holds.
const LOGIN_HOURS: i64 = 24;

/// A token of a program, found by its public part.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct FoundToken {
    pub(crate) id: i64,
    pub(crate) name: String,
    #[sqlx(rename = "token_hash")]
    pub(crate) hash: Vec<u8>,
    pub(crate) last_used_at: Option<i64>,
}

/// The live token with this public part.
pub(crate) async fn find_token(db: &Reader, token_id: &str) -> sqlx::Result<Option<FoundToken>> {
    sqlx::query_as(
        "select id, name, token_hash, last_used_at from tokens \
         where token_id = ? and revoked_at is null",
    )
    .bind(token_id)
    .fetch_optional(db)
    .await
}

pub(crate) async fn note_token_use(tx: &mut Tx, id: i64, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("update tokens set last_used_at = ? where id = ?")
        .bind(now.0)
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A name and the two parts of a token that are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewToken<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) hash: &'a [u8],
}

/// Stores a program's token; false if the name is taken.
pub(crate) async fn insert_token(
    tx: &mut Tx,
    new: NewToken<'_>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into tokens (name, token_id, token_hash, created_at) values (?, ?, ?, ?) \
         on conflict (name) do nothing",
    )
    .bind(new.name)
    .bind(new.id)
    .bind(new.hash)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a program's token; false if there is no live one of that name.
pub(crate) async fn revoke_token(tx: &mut Tx, name: &str, now: Timestamp) -> sqlx::Result<bool> {
    let done =
        sqlx::query("update tokens set revoked_at = ? where name = ? and revoked_at is null")
            .bind(now.0)
            .bind(name)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Registers a runner with its token; none if the name is taken.
pub(crate) async fn insert_runner(
    tx: &mut Tx,
    new: NewToken<'_>,
    now: Timestamp,
) -> sqlx::Result<Option<RunnerId>> {
    let id: Option<i64> = sqlx::query_scalar(
        "insert into runners (name, token_id, token_hash, created_at) values (?, ?, ?, ?) \
         on conflict (name) do nothing returning id",
    )
    .bind(new.name)
    .bind(new.id)
    .bind(new.hash)
    .bind(now.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(RunnerId))
}

/// Ends a runner's token; false if there is no live one of that name.
pub(crate) async fn revoke_runner(tx: &mut Tx, name: &str, now: Timestamp) -> sqlx::Result<bool> {
    let done =
        sqlx::query("update runners set revoked_at = ? where name = ? and revoked_at is null")
            .bind(now.0)
            .bind(name)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// A token or a runner as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was last heard from.
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// Tokens of programs, by name.
pub(crate) async fn tokens(db: &Reader) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as(
        "select name, created_at, last_used_at, revoked_at from tokens order by name limit 10000",
    )
    .fetch_all(db)
    .await
}

/// Runners, by name.
pub(crate) async fn runners(db: &Reader) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as(
        "select name, created_at, last_seen_at as last_used_at, revoked_at from runners \
         order by name limit 10000",
    )
    .fetch_all(db)
    .await
}

/// Stores a sign-in link.
pub(crate) async fn insert_login(tx: &mut Tx, hash: &[u8], now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("insert into logins (token_hash, created_at, expires_at) values (?1, ?2, ?3)")
        .bind(hash)
        .bind(now.0)
        .bind(now.0 + LOGIN_HOURS * 3_600_000)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether this link could be used now.
pub(crate) async fn find_login(db: &Reader, hash: &[u8], now: Timestamp) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from logins \
         where token_hash = ? and used_at is null and expires_at > ?)",
    )
    .bind(hash)
    .bind(now.0)
    .fetch_one(db)
    .await
}

/// Uses a link up; false if it cannot be used.
pub(crate) async fn use_login(tx: &mut Tx, hash: &[u8], now: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update logins set used_at = ?1 \
         where token_hash = ?2 and used_at is null and expires_at > ?1",
    )
    .bind(now.0)
    .bind(hash)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether anybody has ever signed in, or holds a link that still works.
pub(crate) async fn is_claimed(db: &Reader, now: Timestamp) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from sessions) \
         or exists (select 1 from logins where used_at is not null or expires_at > ?)",
    )
    .bind(now.0)
    .fetch_one(db)
    .await
}

/// Stores a session, and forgets those that have ended.
pub(crate) async fn insert_session(
    tx: &mut Tx,
    hash: &[u8],
    user: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("delete from sessions where expires_at <= ?")
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into sessions (token_hash, user, created_at, expires_at) values (?, ?, ?, ?)",
    )
    .bind(hash)
    .bind(user)
    .bind(now.0)
    .bind(now.0 + SESSION_DAYS * 86_400_000)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whose session this is.
pub(crate) async fn find_session(
    db: &Reader,
    hash: &[u8],
    now: Timestamp,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select user from sessions where token_hash = ? and expires_at > ?")
        .bind(hash)
        .bind(now.0)
        .fetch_optional(db)
        .await
}

/// Ends a session.
pub(crate) async fn delete_session(tx: &mut Tx, hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query("delete from sessions where token_hash = ?")
        .bind(hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
