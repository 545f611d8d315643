//! What goes, what stays, and what a kill leaves.

use axum::http::StatusCode;
use pipelines::ids::{Attempt, JobId, RunId};
use pipelines::job::Outcome;
use pipelines::timestamp::Timestamp;

use super::{BATCH, DAY_MS, tick_at};
use crate::progress::tests::{Runner, World, steps};
use crate::store::retention;
use crate::tasks::Did;

/// A run that ended, with a log and with the row of an artifact.
async fn ended(world: &World, runner: &Runner, outcome: Outcome) -> (RunId, JobId) {
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(runner).await.unwrap();
    let lines = (0, "1 0 o one\n1 0 o two\n");
    world.log(runner, (unit.job, unit.lease), lines).await;
    let done = world.finish(runner, &unit, outcome).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
    let mut tx = world.app.store.begin().await.unwrap();
    let artifact = sqlx::query(
        "insert into artifacts (job_id, attempt, kind, path, object, bytes, digest, created_at)
         values (?1, 1, 'artifact', 'shop', 'artifacts/' || ?1, 5, 'aa', ?2)",
    );
    let artifact = artifact.bind(unit.job.0).bind(world.app.clock.now().0);
    artifact.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    (run, unit.job)
}

impl World {
    /// Passes until nothing is left to do, so many days from now.
    async fn retention_after(&self, days: i64) {
        let then = Timestamp(self.app.clock.now().0 + days * DAY_MS);
        while tick_at(&self.app, then).await.unwrap() == Did::Something {}
    }

    /// Whether log and artifact of a job are deleted, and whether the log's bytes are there.
    async fn fate(&self, job: JobId) -> (bool, bool, bool) {
        let (log, artifact) = sqlx::query_as(
            "select (select log_deleted_at is not null from attempts where job_id = ?1),
                    (select deleted_at is not null from artifacts where job_id = ?1)",
        )
        .bind(job.0)
        .fetch_one(self.app.store.reader())
        .await
        .unwrap();
        let length = self.app.objects.length(job, Attempt(1)).await.unwrap();
        (log, artifact, length > 0)
    }
}

const ALL_THERE: (bool, bool, bool) = (false, false, true);
const ALL_GONE: (bool, bool, bool) = (true, true, false);

#[tokio::test]
async fn logs_are_packed_and_old_logs_and_artifacts_go_each_by_its_own_rule() {
    let world = World::new().await;
    let ada = world.runner("ada", &[]).await;
    let (_, job) = ended(&world, &ada, Outcome::Failed).await;
    world.retention_after(1).await;
    assert_eq!(world.fate(job).await, ALL_THERE);
    let stored = retention::stored(world.app.store.reader()).await.unwrap();
    assert_eq!((stored.logs, stored.log_bytes, stored.unpacked), (1, 20, 0));
    assert_eq!((stored.artifacts, stored.artifact_bytes), (1, 5));
    let records = world.app.objects.read((job, Attempt(1)), 0, 100).await;
    assert_eq!(records.unwrap(), b"1 0 o one\n1 0 o two\n");
    world.retention_after(91).await;
    assert_eq!(world.fate(job).await, (false, true, true));
    world.retention_after(366).await;
    assert_eq!(world.fate(job).await, ALL_GONE);
    let stored = retention::stored(world.app.store.reader()).await.unwrap();
    assert_eq!((stored.logs, stored.artifacts), (0, 0));
}

#[tokio::test]
async fn nothing_goes_of_runs_that_are_kept_passed_last_run_or_are_live() {
    let world = World::new().await;
    let ada = world.runner("ada", &[]).await;
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(ended(&world, &ada, Outcome::Passed).await);
    }
    let running = world.run(vec![steps("unit", &[])]).await;
    assert!(world.claim(&ada).await.is_some());
    let (kept, live) = (jobs[1].0, jobs[2]);
    let mut tx = world.app.store.begin().await.unwrap();
    let now = world.app.clock.now();
    assert!(retention::keep(&mut tx, kept, Some(now)).await.unwrap());
    for statement in [
        "insert into releases (id, repo_id, number, run_id, job_id, commit_sha, title, images,
             created_at) values (1, 7, 1, ?1, ?2, '', '', '{}', 1)",
        "insert into deploys (id, repo_id, number, environment, namespace, release_id, run_id,
             job_id, state, created_at) values (1, 7, 1, 'staging', 's', 1, ?1, ?2, 'passed', 1)",
        "update environments set live_deploy_id = 1
             where name = 'staging' and ?1 > 0 and ?2 > 0",
    ] {
        let statement = sqlx::query(statement).bind(live.0.0).bind(live.1.0);
        statement.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    world.retention_after(4000).await;
    let mut fates = Vec::new();
    for (_, job) in &jobs {
        fates.push(world.fate(*job).await);
    }
    assert_eq!(fates, [ALL_GONE, ALL_THERE, ALL_THERE, ALL_THERE]);
    assert_eq!(world.states(running).await.0, "running");
    let mut tx = world.app.store.begin().await.unwrap();
    assert!(retention::keep(&mut tx, kept, None).await.unwrap());
    tx.commit().await.unwrap();
    world.retention_after(4000).await;
    assert_eq!(world.fate(jobs[1].1).await, ALL_GONE);
}

#[tokio::test]
async fn with_no_days_set_everything_stays() {
    let world = World::with(|config| (config.log_days, config.artifact_days) = (None, None)).await;
    let ada = world.runner("ada", &[]).await;
    let (_, job) = ended(&world, &ada, Outcome::Failed).await;
    world.retention_after(30_000).await;
    assert_eq!(world.fate(job).await, ALL_THERE);
}

#[tokio::test]
async fn a_kill_between_the_row_and_the_bytes_is_made_good_by_the_next_pass() {
    let world = World::new().await;
    let ada = world.runner("ada", &[]).await;
    let (_, job) = ended(&world, &ada, Outcome::Failed).await;
    world.retention_after(1).await;
    let now = world.app.clock.now();
    let old = Timestamp(now.0 + DAY_MS);
    let mut tx = world.app.store.begin().await.unwrap();
    retention::delete_logs(&mut tx, old, now, BATCH)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.fate(job).await, (true, false, true));
    world.retention_after(1).await;
    assert_eq!(world.fate(job).await, (true, false, false));
}
