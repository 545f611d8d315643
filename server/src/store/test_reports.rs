//! What the JUnit reports of a job said.

use pipelines::ids::{Attempt, JobId, RunId};
use pipelines::junit::{TestCase, TestReport, TestState};
use pipelines::limits::{TEST_CASES_MAX, TEST_MESSAGE_BYTES_MAX};
use pipelines::names::JobName;
use sqlx::FromRow;

use super::{Reader, Tx, cell};

/// Longest name of a test or suite that is kept, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// Longest time of a test that is kept: a year, far above the longest job.
const MILLIS_MAX: u64 = 366 * 24 * 60 * 60 * 1000;

/// Stores what the tests of an attempt said, in place of what they had said before.
pub(crate) async fn replace(
    tx: &mut Tx,
    (job, attempt): (JobId, Attempt),
    report: &TestReport,
) -> sqlx::Result<()> {
    let attempt = i64::from(attempt.0);
    sqlx::query(
        "insert into test_reports (job_id, attempt, passed, failed, skipped, problems) \
         values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (job_id, attempt) do update set \
         passed = ?3, failed = ?4, skipped = ?5, problems = ?6",
    )
    .bind(job.0)
    .bind(attempt)
    .bind(i64::from(report.passed))
    .bind(i64::from(report.failed))
    .bind(i64::from(report.skipped))
    .bind(cell::to_json(&report.problems)?)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from test_cases where job_id = ? and attempt = ?")
        .bind(job.0)
        .bind(attempt)
        .execute(&mut **tx)
        .await?;
    // One statement for all of them: there may be thousands.
    sqlx::query(
        "insert into test_cases \
         (job_id, attempt, position, suite, name, state, millis, message) \
         select ?1, ?2, key, value ->> 'suite', value ->> 'name', value ->> 'state', \
         value ->> 'millis', value ->> 'message' from json_each(?3)",
    )
    .bind(job.0)
    .bind(attempt)
    .bind(cell::to_json(&kept(&report.cases))?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Failed tests first, so that a bound never hides one behind those that passed; and no text or
/// number that the table does not take.
fn kept(cases: &[TestCase]) -> Vec<TestCase> {
    let mut cases: Vec<&TestCase> = cases.iter().collect();
    cases.sort_by_key(|case| case.state != TestState::Failed);
    cases.truncate(TEST_CASES_MAX);
    let bounded = |case: &TestCase| TestCase {
        suite: cut(&case.suite, NAME_BYTES_MAX),
        name: cut(&case.name, NAME_BYTES_MAX),
        state: case.state,
        millis: case.millis.min(MILLIS_MAX),
        message: case
            .message
            .as_deref()
            .map(|text| cut(text, TEST_MESSAGE_BYTES_MAX)),
    };
    cases.into_iter().map(bounded).collect()
}

/// The beginning of a text, in whole letters.
fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

#[derive(Debug, FromRow)]
struct ReportRow {
    job_id: i64,
    attempt: i64,
    passed: i64,
    failed: i64,
    skipped: i64,
    problems: String,
}

#[derive(Debug, FromRow)]
struct CaseRow {
    suite: String,
    name: String,
    state: String,
    millis: i64,
    message: Option<String>,
}

/// What the tests of the last attempt of a job said, if there were any.
pub(crate) async fn find(
    db: &Reader,
    run: RunId,
    job: &JobName,
) -> sqlx::Result<Option<TestReport>> {
    let row: Option<ReportRow> = sqlx::query_as(
        "select test_reports.job_id, test_reports.attempt, test_reports.passed, \
         test_reports.failed, test_reports.skipped, test_reports.problems \
         from jobs join test_reports on test_reports.job_id = jobs.id \
         and test_reports.attempt = jobs.attempt \
         where jobs.run_id = ? and jobs.name = ?",
    )
    .bind(run.0)
    .bind(job.as_str())
    .fetch_optional(db)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let cases: Vec<CaseRow> = sqlx::query_as(
        "select suite, name, state, millis, message from test_cases \
         where job_id = ? and attempt = ? order by position limit 5000",
    )
    .bind(row.job_id)
    .bind(row.attempt)
    .fetch_all(db)
    .await?;
    let case = |case: CaseRow| {
        Ok(TestCase {
            suite: case.suite,
            name: case.name,
            state: cell::word(&case.state)?,
            millis: u64::try_from(case.millis).map_err(sqlx::Error::decode)?,
            message: case.message,
        })
    };
    Ok(Some(TestReport {
        passed: cell::count(row.passed)?,
        failed: cell::count(row.failed)?,
        skipped: cell::count(row.skipped)?,
        cases: cases.into_iter().map(case).collect::<sqlx::Result<_>>()?,
        problems: cell::json(&row.problems)?,
    }))
}
