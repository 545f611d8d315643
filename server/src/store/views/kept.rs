//! What runs leave behind: artifacts, and what their tests said.

use pipelines::ids::{RepoId, RunId};

use crate::store::Reader;

/// How much there is of a run.
#[derive(Debug, Clone, Copy, Default, sqlx::FromRow)]
pub(crate) struct Counts {
    pub(crate) failed_tests: i64,
    pub(crate) artifacts: i64,
}

/// How much there is, of the last attempt of each job.
pub(crate) async fn counts(reader: &Reader, run: RunId) -> sqlx::Result<Counts> {
    sqlx::query_as(
        "select
            (select coalesce(sum(test_reports.failed), 0) from jobs
                join test_reports on test_reports.job_id = jobs.id
                    and test_reports.attempt = jobs.attempt
                where jobs.run_id = ?1) as failed_tests,
            (select count(*) from jobs join artifacts on artifacts.job_id = jobs.id
                    and artifacts.attempt = jobs.attempt
                where jobs.run_id = ?1) as artifacts",
    )
    .bind(run.0)
    .fetch_one(reader)
    .await
}

/// What the tests of a job said, in numbers.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ReportRow {
    pub(crate) job: String,
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
    /// JSON list of sentences.
    pub(crate) problems: String,
}

/// The reports of a run: of the last attempt of each job that had some, in the plan's order.
pub(crate) async fn reports(reader: &Reader, run: RunId) -> sqlx::Result<Vec<ReportRow>> {
    sqlx::query_as(
        "select jobs.name as job, test_reports.passed, test_reports.failed,
                test_reports.skipped, test_reports.problems
         from jobs join test_reports on test_reports.job_id = jobs.id
            and test_reports.attempt = jobs.attempt
         where jobs.run_id = ?1 order by jobs.position limit 500",
    )
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// A test.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct CaseRow {
    pub(crate) job: String,
    pub(crate) suite: String,
    pub(crate) name: String,
    pub(crate) millis: i64,
    pub(crate) message: Option<String>,
}

/// The tests of a run that failed, in the plan's order.
pub(crate) async fn failed(reader: &Reader, run: RunId, limit: i64) -> sqlx::Result<Vec<CaseRow>> {
    sqlx::query_as(
        "select jobs.name as job, test_cases.suite, test_cases.name, test_cases.millis,
                test_cases.message
         from jobs join test_cases on test_cases.job_id = jobs.id
            and test_cases.attempt = jobs.attempt
         where jobs.run_id = ?1 and test_cases.state = 'failed'
         order by jobs.position, test_cases.position limit ?2",
    )
    .bind(run.0)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// The tests of a run that took longest.
pub(crate) async fn slowest(reader: &Reader, run: RunId, limit: i64) -> sqlx::Result<Vec<CaseRow>> {
    sqlx::query_as(
        "select jobs.name as job, test_cases.suite, test_cases.name, test_cases.millis,
                test_cases.message
         from jobs join test_cases on test_cases.job_id = jobs.id
            and test_cases.attempt = jobs.attempt
         where jobs.run_id = ?1 and test_cases.state <> 'skipped'
         order by test_cases.millis desc limit ?2",
    )
    .bind(run.0)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// How a test of a job ended in a former run.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PastRow {
    pub(crate) number: i64,
    pub(crate) job: String,
    pub(crate) suite: String,
    pub(crate) name: String,
    pub(crate) state: String,
}

/// Which run's tests are looked back from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Back<'a> {
    pub(crate) repo: RepoId,
    pub(crate) pipeline: &'a str,
    /// The runs on the same branch; none for a tag.
    pub(crate) branch: Option<&'a str>,
    /// Only runs before this one.
    pub(crate) number: i64,
}

/// How the tests that failed in `run` ended in the `runs` runs of the same pipeline and branch
/// before it, newest first.
pub(crate) async fn past(
    reader: &Reader,
    run: RunId,
    back: Back<'_>,
    runs: i64,
) -> sqlx::Result<Vec<PastRow>> {
    sqlx::query_as(
        "with former as (
            select id, number from runs
            where repo_id = ?2 and pipeline = ?3 and branch is ?4 and number < ?5
              and state in ('passed', 'failed', 'timed_out', 'infrastructure_error')
            order by number desc limit ?6),
         bad as (
            select jobs.name as job, test_cases.suite, test_cases.name
            from jobs join test_cases on test_cases.job_id = jobs.id
                and test_cases.attempt = jobs.attempt
            where jobs.run_id = ?1 and test_cases.state = 'failed' limit 100)
         select former.number, jobs.name as job, test_cases.suite, test_cases.name, test_cases.state
         from former join jobs on jobs.run_id = former.id
            join test_cases on test_cases.job_id = jobs.id and test_cases.attempt = jobs.attempt
            join bad on bad.job = jobs.name and bad.suite = test_cases.suite
                and bad.name = test_cases.name
         order by former.number desc limit 2000",
    )
    .bind(run.0)
    .bind(back.repo.0)
    .bind(back.pipeline)
    .bind(back.branch)
    .bind(back.number)
    .bind(runs)
    .fetch_all(reader)
    .await
}

/// A kept file.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ArtifactRow {
    pub(crate) id: i64,
    pub(crate) job: String,
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) bytes: i64,
    pub(crate) digest: String,
    pub(crate) created_at: i64,
    /// When retention deleted its bytes.
    pub(crate) deleted_at: Option<i64>,
}

/// The files that the last attempt of each job has left, in the plan's order.
pub(crate) async fn artifacts(
    reader: &Reader,
    run: RunId,
    limit: i64,
) -> sqlx::Result<Vec<ArtifactRow>> {
    sqlx::query_as(
        "select artifacts.id, jobs.name as job, artifacts.kind, artifacts.path, artifacts.bytes,
                artifacts.digest, artifacts.created_at, artifacts.deleted_at
         from jobs join artifacts on artifacts.job_id = jobs.id
            and artifacts.attempt = jobs.attempt
         where jobs.run_id = ?1 order by jobs.position, artifacts.kind, artifacts.path limit ?2",
    )
    .bind(run.0)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// The logs of a run that are packed: how many, their bytes, and those on the disk; and how many
/// logs were deleted.
pub(crate) async fn logs(reader: &Reader, run: RunId) -> sqlx::Result<(i64, i64, i64, i64)> {
    sqlx::query_as(
        "select count(*) filter (where log_deleted_at is null and log_stored_bytes > 0),
                coalesce(sum(log_bytes) filter (where log_deleted_at is null), 0),
                coalesce(sum(log_stored_bytes) filter (where log_deleted_at is null), 0),
                count(*) filter (where log_deleted_at is not null)
         from jobs join attempts on attempts.job_id = jobs.id where jobs.run_id = ?1",
    )
    .bind(run.0)
    .fetch_one(reader)
    .await
}
