//! How runs move in the database. The world of these tests serves those of the callers, too.

use std::collections::BTreeMap;

use pipelines::event::{EventKind, GitEvent};
use pipelines::ids::{RepoId, RunId};
use pipelines::job::State;
use pipelines::names::{EnvironmentName, JobName};
use pipelines::plan::{Plan, PlannedJob, Work};
use pipelines::run::{Run, RunEvent};
use pipelines::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::progress::{self, EVENT, Recorded};
use crate::store::repos::{self, Repo};
use crate::store::runs::{self, NewRun};
use crate::store::{Store, jobs};

mod moves;
mod runner;

pub(crate) use runner::Runner;

/// A server on a folder of its own, without a listener.
pub(crate) struct World {
    pub(crate) app: App,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = open(folder.path(), change).await;
        let world = Self { app, folder };
        let repo = Repo {
            id: RepoId(7),
            installation: 1,
            name: "acme/shop".parse().unwrap(),
            default_branch: "main".parse().unwrap(),
            private: true,
        };
        let mut tx = world.app.store.begin().await.unwrap();
        repos::upsert(&mut tx, &repo, Timestamp(1)).await.unwrap();
        for (position, name) in ["staging", "production"].into_iter().enumerate() {
            insert_environment(&mut tx, position, name).await;
        }
        tx.commit().await.unwrap();
        world
    }

    /// A new server on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { app, folder } = self;
        app.store.close(&app.data).await;
        drop(app);
        let app = open(folder.path(), |_| {}).await;
        Self { app, folder }
    }

    /// Stores a run of these jobs and begins it.
    pub(crate) async fn run(&self, planned: Vec<PlannedJob>) -> RunId {
        let plan = Plan {
            pipeline: "ci".parse().unwrap(),
            concurrency: None,
            templates: Vec::new(),
            jobs: planned,
        };
        let run = Run::from_plan(&plan);
        let event = GitEvent {
            kind: EventKind::Push,
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            before: None,
            branch: Some("main".parse().unwrap()),
            tag: None,
            pull_request: None,
            title: "Sell more".into(),
            author: "mira".into(),
            inputs: Default::default(),
        };
        let new = NewRun {
            repo: RepoId(7),
            pipeline: &plan.pipeline,
            delivery: None,
            event: &event,
            state: run.state(),
            reason: None,
            problems: "[]",
            file: "",
            rerun_of: None,
            concurrency: None,
            templates: "[]",
            schedule_at: None,
            event_at: None,
        };
        let now = self.app.clock.now();
        let mut tx = self.app.store.begin().await.unwrap();
        let (id, _) = runs::insert(&mut tx, new, now).await.unwrap().unwrap();
        for (position, both) in plan.jobs.iter().zip(&run.jobs).enumerate() {
            runs::insert_job(&mut tx, (id, position), both, now)
                .await
                .unwrap();
        }
        let topics = progress::begin(&mut tx, now, id).await.unwrap();
        tx.commit().await.unwrap();
        progress::tell(&self.app, &topics);
        id
    }

    /// The state of a run, and of its jobs in the plan's order.
    pub(crate) async fn states(&self, run: RunId) -> (String, Vec<(String, String)>) {
        let db = self.app.store.reader();
        let state = sqlx::query_scalar("select state from runs where id = ?").bind(run.0);
        let jobs =
            sqlx::query_as("select name, state from jobs where run_id = ? order by position");
        (
            state.fetch_one(db).await.unwrap(),
            jobs.bind(run.0).fetch_all(db).await.unwrap(),
        )
    }

    /// The state and the reason of one job.
    pub(crate) async fn job(&self, run: RunId, name: &str) -> (String, Option<String>) {
        let query = sqlx::query_as("select state, reason from jobs where run_id = ? and name = ?");
        let query = query.bind(run.0).bind(name.to_owned());
        query.fetch_one(self.app.store.reader()).await.unwrap()
    }

    /// One number or text of the database.
    pub(crate) async fn ask<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        sqlx::query_scalar(sql)
            .fetch_one(self.app.store.reader())
            .await
            .unwrap()
    }

    /// Everything a runner could change, as text, to be compared.
    pub(crate) async fn everything(&self) -> String {
        let parts = [
            "select group_concat(id || state || coalesce(reason, '') || attempt || outputs) from jobs",
            "select group_concat(job_id || attempt || state || coalesce(reason, '')) from attempts",
            "select group_concat(job_id || attempt || position || name || state) from steps",
            "select group_concat(id || state || coalesce(progress, '')) from deploys",
            "select group_concat(id || coalesce(bundle, '')) from releases",
            "select group_concat(id || kind || detail) from events",
            "select group_concat(id || state || coalesce(reason, '')) from runs",
        ];
        let mut all = String::new();
        for sql in parts {
            let text: Option<String> = self.ask(sql).await;
            all.push_str(&text.unwrap_or_default());
            all.push('\n');
        }
        all
    }

    /// Replays the record of a run and compares what comes out with what is stored.
    pub(crate) async fn check_replay(&self, run: RunId) {
        let lines: Vec<String> = sqlx::query_scalar(
            "select detail from events where run_id = ? and kind = ? order by id",
        )
        .bind(run.0)
        .bind(EVENT)
        .fetch_all(self.app.store.reader())
        .await
        .unwrap();
        let mut replayed: Option<Run> = None;
        for line in lines {
            let recorded: Recorded = serde_json::from_str(&line).unwrap();
            assert_eq!(
                recorded.initial.is_some(),
                recorded.event == RunEvent::Begin
            );
            if replayed.is_none() {
                replayed = recorded.initial;
            }
            replayed.as_mut().unwrap().apply(recorded.event).unwrap();
        }
        let mut tx = self.app.store.begin().await.unwrap();
        let stored = jobs::of_run(&mut tx, run).await.unwrap();
        let stored: Vec<_> = stored.into_iter().map(|stored| stored.job).collect();
        let replayed = replayed.unwrap();
        assert_eq!(replayed.jobs, stored);
        assert_eq!(replayed.state().as_str(), self.states(run).await.0);
    }
}

async fn open(folder: &std::path::Path, change: impl FnOnce(&mut Config)) -> App {
    let store = Store::open(folder).await.unwrap();
    let mut config = Config::new(folder);
    change(&mut config);
    App::new(config, store).unwrap()
}

async fn insert_environment(tx: &mut crate::store::Tx, position: usize, name: &str) {
    let environment = pipelines::environment::Environment {
        name: name.parse::<EnvironmentName>().unwrap(),
        namespace: format!("shop-{name}").parse().unwrap(),
        branches: None,
        after: None,
        on_failure: Default::default(),
    };
    crate::store::environments::upsert(tx, (RepoId(7), position), &environment, "[]")
        .await
        .unwrap();
}

fn planned(name: &str, needs: &[&str], work: Value) -> PlannedJob {
    PlannedJob {
        name: name.parse().unwrap(),
        group: name.parse().unwrap(),
        matrix: Default::default(),
        needs: needs.iter().map(|need| need.parse().unwrap()).collect(),
        condition: Default::default(),
        skip: None,
        timeout_seconds: 600,
        retry: Default::default(),
        work: serde_json::from_value::<Work>(work).unwrap(),
    }
}

/// A job of one step.
pub(crate) fn steps(name: &str, needs: &[&str]) -> PlannedJob {
    let step = json!({
        "name": "test", "image": "alpine", "run": "true", "env": {}, "timeout_seconds": null,
    });
    planned(name, needs, json!({ "steps": { "steps": [step] } }))
}

/// A job that builds an image.
pub(crate) fn build(name: &str) -> PlannedJob {
    let work = json!({ "build": {
        "image": "registry.example/shop", "context": ".", "dockerfile": "Dockerfile",
        "target": null, "args": {}, "tags": [],
    }});
    planned(name, &[], work)
}

fn deploy_work(environment: &str, source: &Value) -> Value {
    json!({ "deploy": {
        "environment": environment, "namespace": format!("shop-{environment}"), "source": source,
        "strategy": "rolling", "verify": { "bake_seconds": 1, "deadline_seconds": 60 },
    }})
}

/// A job that deploys to `staging` what `build` has made.
pub(crate) fn deploy(name: &str, build: &str) -> PlannedJob {
    let source = json!({ "manifests": { "path": "deploy", "images": { "shop": build } } });
    planned(name, &[build], deploy_work("staging", &source))
}

/// A job that deploys to `staging` and needs nothing.
pub(crate) fn deploy_only(name: &str) -> PlannedJob {
    let source = json!({ "manifests": { "path": "deploy", "images": {} } });
    planned(name, &[], deploy_work("staging", &source))
}

/// A job that promotes to `production` what `from` has verified.
pub(crate) fn promote(name: &str, from: &str) -> PlannedJob {
    let source = json!({ "promote": { "environment": "staging", "job": from } });
    planned(name, &[from], deploy_work("production", &source))
}

/// What a build job says it made.
pub(crate) fn digest() -> BTreeMap<String, String> {
    let digest = format!("sha256:{}", "a".repeat(64));
    BTreeMap::from([("digest".to_owned(), digest)])
}

pub(crate) fn job_name(name: &str) -> JobName {
    name.parse().unwrap()
}

/// What a state is called.
pub(crate) fn word(state: State) -> String {
    state.as_str().to_owned()
}
