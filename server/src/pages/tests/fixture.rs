//! A small company's history, written straight into the tables: for tests of pages, and for looking
//! at them (`examples/gallery.rs`). It knows nothing of the server's code.

use pipelines::timestamp::Timestamp;
use sqlx::SqliteConnection;

// By path, since the example takes this file as a module of its own.
#[path = "fixture/kept.rs"]
mod kept;
#[path = "fixture/output.rs"]
mod output;
#[path = "fixture/story.rs"]
mod story;

/// The log of a job's attempt: job, attempt, records.
pub(crate) type SeededLog = (i64, u32, Vec<u8>);

/// A minute in milliseconds.
const MIN: i64 = 60_000;
/// The session of the person who looks.
pub(crate) const SESSION: &str = "gallery";

/// Writes the history.
pub(crate) struct Seed<'a> {
    tx: &'a mut SqliteConnection,
    now: i64,
    logs: Vec<SeededLog>,
    runs: i64,
    jobs: i64,
}

/// A run to write.
pub(crate) struct SeedRun<'a> {
    /// Its repository, number there, branch and state.
    pub(crate) place: (i64, i64, &'a str, &'a str),
    /// Title and author.
    pub(crate) words: (&'a str, &'a str),
    /// Minutes since it was made, and how long it took if it ended.
    pub(crate) age: (i64, Option<i64>),
    /// Why it ended so.
    pub(crate) reason: Option<&'a str>,
}

/// A job to write.
pub(crate) struct SeedJob<'a> {
    /// Name, kind, needs as JSON and environment.
    pub(crate) what: (&'a str, &'a str, &'a str, Option<&'a str>),
    /// State and reason.
    pub(crate) state: (&'a str, Option<&'a str>),
    /// Minutes since it began, and how long it took if it ended.
    pub(crate) age: Option<(i64, Option<i64>)>,
    /// What it made, as JSON.
    pub(crate) outputs: &'a str,
}

impl<'a> Seed<'a> {
    /// Begins at `now`, with a session whose hash is `session`.
    pub(crate) async fn new(
        tx: &'a mut SqliteConnection,
        now: Timestamp,
        session: &[u8],
    ) -> sqlx::Result<Seed<'a>> {
        sqlx::query("insert into sessions (token_hash, user, created_at, expires_at) values (?, 'mira', 0, ?)")
            .bind(session)
            .bind(i64::MAX)
            .execute(&mut *tx)
            .await?;
        Ok(Seed {
            tx,
            now: now.0,
            logs: Vec::new(),
            runs: 0,
            jobs: 0,
        })
    }

    /// Everything, and the logs to store beside it.
    pub(crate) async fn all(mut self) -> sqlx::Result<Vec<SeededLog>> {
        self.base().await?;
        self.history().await?;
        self.failed().await?;
        self.deploys().await?;
        self.open().await?;
        self.odd().await?;
        self.kept().await?;
        Ok(self.logs)
    }

    async fn sql(&mut self, sql: &'static str, values: &[i64]) -> sqlx::Result<()> {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        query.execute(&mut *self.tx).await?;
        Ok(())
    }

    async fn base(&mut self) -> sqlx::Result<()> {
        let now = self.now;
        self.sql("insert into repos (id, installation_id, owner, name, default_branch, private, created_at) values
            (1, 1, 'acme', 'shop', 'main', 1, ?1), (2, 1, 'acme', 'docs', 'main', 0, ?1), (3, 1, 'acme', 'api', 'trunk', 1, ?1)", &[now]).await?;
        self.sql("insert into runners (id, name, token_id, token_hash, labels, environments, slots, version, engine, created_at, last_seen_at, revoked_at) values
            (1, 'harbour-1', 'a', x'00', '[\"linux\",\"amd64\"]', '[\"staging\",\"production\"]', 4, '0.1.0', 'docker 26.1.5', ?1, ?2, null),
            (2, 'harbour-2', 'b', x'00', '[\"linux\",\"arm64\"]', '[]', 2, '0.1.0', 'docker 26.1.5', ?1, ?3, null),
            (3, 'harbour-3', 'c', x'00', '[]', '[]', 0, '', '', ?1, null, null),
            (4, 'old-laptop', 'd', x'00', '[]', '[]', 1, '0.0.9', 'docker 20.10', ?1, ?3, ?3)",
            &[now - 900 * MIN, now, now - 42 * MIN]).await?;
        self.sql("insert into environments (repo_id, name, position, namespace, branches, after_environment) values
            (1, 'staging', 0, 'shop-staging', '[]', null), (1, 'production', 1, 'shop', '[\"main\"]', 'staging'),
            (3, 'staging', 0, 'api-staging', '[]', null)", &[]).await?;
        self.sql("insert into deliveries (guid, event, body_digest, body, received_at, repeats, state, outcome, attempts, next_at) values
            ('72d3162e-cc78-11e3-81ab-4c9367dc0958', 'push', x'01', x'7b7d', ?1, 0, 'done', 'run 47 of acme/shop', 1, 0),
            ('82d3162e-cc78-11e3-81ab-4c9367dc0958', 'star', x'02', x'7b7d', ?1, 2, 'ignored', 'nothing is started by it', 1, 0),
            ('92d3162e-cc78-11e3-81ab-4c9367dc0958', 'push', x'03', x'7b7d', ?1, 0, 'failed', 'GitHub does not know the commit', 5, 0)", &[now - MIN]).await?;
        self.sql("insert into audit (at, actor, action, subject, detail) values (?1, 'admin', 'login', '', ''), (?1, 'mira', 'run.cancel', 'acme/shop run 12', 'all jobs')", &[now - 30 * MIN]).await
    }

    /// Writes a run and returns its id.
    pub(crate) async fn run(&mut self, run: SeedRun<'_>) -> sqlx::Result<i64> {
        self.runs += 1;
        let (repo, number, branch, state) = run.place;
        let (began, took) = (self.now - run.age.0 * MIN, run.age.1);
        let pull = (branch != "main" && branch != "trunk").then_some(number);
        sqlx::query("insert into runs (id, repo_id, number, pipeline, event, trust, branch, pull_request, commit_sha, title, author, state, reason, created_at, started_at, finished_at)
            values (?, ?, ?, 'ci', ?, 'trusted', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(self.runs).bind(repo).bind(number)
            .bind(if pull.is_some() { "pull_request" } else { "push" })
            .bind(branch).bind(pull)
            .bind(format!("{:010x}", ((number * 7919 + repo) * 1_044_484_487) & 0xff_ffff_ffff).repeat(4))
            .bind(run.words.0).bind(run.words.1).bind(state).bind(run.reason)
            .bind(began).bind((state != "queued").then_some(began + 4_000))
            .bind(took.map(|took| began + took))
            .execute(&mut *self.tx).await?;
        Ok(self.runs)
    }

    /// Writes a job of a run, with an attempt if it began, and returns its id.
    pub(crate) async fn job(
        &mut self,
        run: i64,
        position: i64,
        job: SeedJob<'_>,
    ) -> sqlx::Result<i64> {
        self.jobs += 1;
        let (name, kind, needs, environment) = job.what;
        let began = job.age.map(|(age, _)| self.now - age * MIN);
        let ended = job
            .age
            .and_then(|(age, took)| took.map(|took| self.now - age * MIN + took));
        sqlx::query("insert into jobs (id, run_id, position, name, group_name, kind, needs, environment, work, timeout_seconds, state, reason, attempt, retries_left, runner_id, outputs, queued_at, started_at, finished_at)
            values (?, ?, ?, ?, ?, ?, ?, ?, ?, 3600, ?, ?, ?, 0, ?, ?, ?, ?, ?)")
            .bind(self.jobs).bind(run).bind(position).bind(name).bind(name).bind(kind).bind(needs)
            .bind(environment).bind(work(kind)).bind(job.state.0).bind(job.state.1)
            .bind(i64::from(began.is_some())).bind(began.map(|_| 1)).bind(job.outputs)
            .bind(began.map_or(self.now - MIN, |began| began - 2500)).bind(began).bind(ended)
            .execute(&mut *self.tx).await?;
        if let Some(began) = began {
            sqlx::query("insert into attempts (job_id, attempt, runner_id, fence, claim_key, state, reason, started_at, finished_at) values (?1, 1, 1, ?1, 'key ' || ?1, ?2, ?3, ?4, ?5)")
                .bind(self.jobs).bind(job.state.0).bind(job.state.1).bind(began).bind(ended)
                .execute(&mut *self.tx).await?;
        }
        Ok(self.jobs)
    }

    async fn step(
        &mut self,
        job: i64,
        position: i64,
        step: (&str, &str, Option<i64>),
        age: (i64, Option<i64>),
    ) -> sqlx::Result<()> {
        let began = self.now - age.0 * MIN + position * 1000;
        sqlx::query("insert into steps (job_id, attempt, position, name, state, exit_code, started_at, finished_at) values (?, 1, ?, ?, ?, ?, ?, ?)")
            .bind(job).bind(position).bind(step.0).bind(step.1).bind(step.2).bind(began)
            .bind(age.1.map(|took| began + took))
            .execute(&mut *self.tx).await?;
        Ok(())
    }
}

/// The least work of a kind that can be read back.
fn work(kind: &str) -> &'static str {
    match kind {
        "build" => {
            r#"{"build":{"image":"registry.acme.example/shop","context":".","dockerfile":"Dockerfile","target":null,"args":{},"tags":[]}}"#
        }
        "deploy" => {
            r#"{"deploy":{"environment":"staging","namespace":"shop","source":{"manifests":{"path":"deploy","images":{}}},"strategy":"rolling","verify":{"bake_seconds":10,"deadline_seconds":600}}}"#
        }
        _ => r#"{"steps":{"steps":[]}}"#,
    }
}
