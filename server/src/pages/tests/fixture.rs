//! A small company's history, written straight into the tables: for tests of pages, and for looking
//! at them (`examples/gallery.rs`). It knows nothing of the server's code.

use pipelines::deploy::{
    Cause, ClusterEvent, DeployProgress, Phase, Pod, PodState, Workload,
};
use pipelines::log::{Record, Voice};
use pipelines::timestamp::Timestamp;
use sqlx::SqliteTransaction;

/// The log of a job's attempt: job, attempt, records.
pub(crate) type SeededLog = (i64, u32, Vec<u8>);

/// A minute in milliseconds.
const MIN: i64 = 60_000;
/// The session of the person who looks.
pub(crate) const SESSION: &str = "gallery";

/// Writes the history.
pub(crate) struct Seed<'a> {
    tx: &'a mut SqliteTransaction<'static>,
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
        tx: &'a mut SqliteTransaction<'static>,
        now: Timestamp,
        session: &[u8],
    ) -> sqlx::Result<Seed<'a>> {
        sqlx::query("insert into sessions (token_hash, user, created_at, expires_at) values (?, 'mira', 0, ?)")
            .bind(session)
            .bind(i64::MAX)
            .execute(&mut **tx)
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
        Ok(self.logs)
    }

    async fn sql(&mut self, sql: &'static str, values: &[i64]) -> sqlx::Result<()> {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        query.execute(&mut **self.tx).await?;
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
            .bind(format!("{:08x}", (number * 7919 + repo) * 104_729).repeat(5))
            .bind(run.words.0).bind(run.words.1).bind(state).bind(run.reason)
            .bind(began).bind((state != "queued").then_some(began + 4_000))
            .bind(took.map(|took| began + took))
            .execute(&mut **self.tx).await?;
        Ok(self.runs)
    }

    /// Writes a job of a run, with an attempt if it began, and returns its id.
    pub(crate) async fn job(&mut self, run: i64, position: i64, job: SeedJob<'_>) -> sqlx::Result<i64> {
        self.jobs += 1;
        let (name, kind, needs, environment) = job.what;
        let began = job.age.map(|(age, _)| self.now - age * MIN);
        let ended = job.age.and_then(|(age, took)| took.map(|took| self.now - age * MIN + took));
        sqlx::query("insert into jobs (id, run_id, position, name, kind, needs, environment, work, timeout_seconds, state, reason, attempt, retries_left, runner_id, outputs, queued_at, started_at, finished_at)
            values (?, ?, ?, ?, ?, ?, ?, '{}', 3600, ?, ?, ?, 0, ?, ?, ?, ?, ?)")
            .bind(self.jobs).bind(run).bind(position).bind(name).bind(kind).bind(needs)
            .bind(environment).bind(job.state.0).bind(job.state.1)
            .bind(i64::from(began.is_some())).bind(began.map(|_| 1)).bind(job.outputs)
            .bind(self.now - MIN).bind(began).bind(ended)
            .execute(&mut **self.tx).await?;
        if let Some(began) = began {
            sqlx::query("insert into attempts (job_id, attempt, runner_id, fence, claim_key, state, reason, started_at, finished_at) values (?1, 1, 1, ?1, 'key ' || ?1, ?2, ?3, ?4, ?5)")
                .bind(self.jobs).bind(job.state.0).bind(job.state.1).bind(began).bind(ended)
                .execute(&mut **self.tx).await?;
        }
        Ok(self.jobs)
    }

    async fn step(&mut self, job: i64, position: i64, step: (&str, &str, Option<i64>), age: (i64, Option<i64>)) -> sqlx::Result<()> {
        let began = self.now - age.0 * MIN + position * 1000;
        sqlx::query("insert into steps (job_id, attempt, position, name, state, exit_code, started_at, finished_at) values (?, 1, ?, ?, ?, ?, ?, ?)")
            .bind(job).bind(position).bind(step.0).bind(step.1).bind(step.2).bind(began)
            .bind(age.1.map(|took| began + took))
            .execute(&mut **self.tx).await?;
        Ok(())
    }

    /// Thirty passed runs, a few of other ends between them, and a broken end.
    async fn history(&mut self) -> sqlx::Result<()> {
        let titles = ["Show prices with tax", "Bump the base image", "Retry payments once", "Cache the catalogue", "Say why a card was refused"];
        for number in 1..=40 {
            let state = match number {
                9 => "failed",
                17 => "cancelled",
                23 => "timed_out",
                31 => "infrastructure_error",
                36 => "superseded",
                _ => "passed",
            };
            let branch = if number % 4 == 0 { "tax/rounding" } else { "main" };
            let author = ["mira", "jonas", "ade"][usize::try_from(number % 3).unwrap_or(0)];
            let run = self.run(SeedRun {
                place: (1, number, branch, state),
                words: (titles[usize::try_from(number % 5).unwrap_or(0)], author),
                age: (3000 - number * 70, Some(150_000 + number * 1500)),
                reason: (state != "passed").then_some(match state {
                    "cancelled" => "cancelled by mira",
                    "superseded" => "superseded by run 37",
                    "timed_out" => "took longer than 1 h",
                    "infrastructure_error" => "the runner was not heard from for 30 s",
                    _ => "step `go test` exited with code 1",
                }),
            }).await?;
            for (position, (name, kind, ms)) in [("unit", "steps", 61_000), ("image", "build", 42_000)].into_iter().enumerate() {
                self.job(run, i64::try_from(position).unwrap_or(0), SeedJob {
                    what: (name, kind, if position == 0 { "[]" } else { "[\"unit\"]" }, None),
                    state: (if position == 0 { state } else { "passed" }, None),
                    age: Some((3000 - number * 70, Some(ms + number * 300))),
                    outputs: "{}",
                }).await?;
            }
        }
        Ok(())
    }

    /// Two runs that broke the default branch: the newest one with a long log.
    async fn failed(&mut self) -> sqlx::Result<()> {
        for (number, age) in [(41, 50), (42, 21)] {
            let run = self.run(SeedRun {
                place: (1, number, "main", "failed"),
                words: ("Round totals half to even", "jonas"),
                age: (age, Some(96_000)),
                reason: Some("step `go test ./…` exited with code 1"),
            }).await?;
            let unit = self.job(run, 0, SeedJob { what: ("unit", "steps", "[]", None), state: ("failed", Some("step `go test ./…` exited with code 1")), age: Some((age, Some(92_000))), outputs: "{}" }).await?;
            self.step(unit, 0, ("go vet ./…", "passed", Some(0)), (age, Some(12_000))).await?;
            self.step(unit, 1, ("go test ./…", "failed", Some(1)), (age, Some(79_000))).await?;
            self.job(run, 1, SeedJob { what: ("lint", "steps", "[]", None), state: ("passed", None), age: Some((age, Some(31_000))), outputs: "{}" }).await?;
            self.job(run, 2, SeedJob { what: ("image", "build", "[\"unit\",\"lint\"]", None), state: ("skipped", Some("needs `unit`, which failed")), age: None, outputs: "{}" }).await?;
            self.job(run, 3, SeedJob { what: ("staging", "deploy", "[\"image\"]", Some("staging")), state: ("skipped", Some("needs `image`, which was skipped")), age: None, outputs: "{}" }).await?;
            let log = failing_log(self.now - age * MIN);
            self.logs.push((unit, 1, log));
            self.sql("insert into events (run_id, at, kind, detail) values (?1, ?2, 'run.created', '{}'), (?1, ?2 + 4000, 'run.state', '{\"state\":\"running\"}'), (?1, ?2 + 96000, 'run.state', '{\"state\":\"failed\"}')", &[run, self.now - age * MIN]).await?;
        }
        Ok(())
    }

    async fn deploys(&mut self) -> sqlx::Result<()> {
        let image = format!("registry.acme.example/shop@sha256:{}", "4f2a91c0".repeat(8));
        let made = serde_json::json!({ "image": image, "digest": format!("sha256:{}", "4f2a91c0".repeat(8)) }).to_string();
        let table = [(43, "passed", "staging", 300), (44, "failed", "production", 90), (45, "running", "staging", 3)];
        for (number, state, environment, age) in table {
            let took = (state != "running").then_some(64_000);
            let run = self.run(SeedRun { place: (1, number, "main", state), words: ("Take payments in kronor", "ade"), age: (age, took), reason: (state == "failed").then_some("container shop exits with code 3 on 2 pods") }).await?;
            self.job(run, 0, SeedJob { what: ("unit", "steps", "[]", None), state: ("passed", None), age: Some((age, Some(60_000))), outputs: "{}" }).await?;
            self.job(run, 1, SeedJob { what: ("image", "build", "[\"unit\"]", None), state: ("passed", None), age: Some((age, Some(40_000))), outputs: &made }).await?;
            let job = self.job(run, 2, SeedJob { what: ("roll-out", "deploy", "[\"image\"]", Some(environment)), state: (state, (state == "failed").then_some("container shop exits with code 3 on 2 pods")), age: Some((age, took)), outputs: "{}" }).await?;
            self.release(run, job, (state, environment), age).await?;
        }
        self.sql("update environments set live_deploy_id = 1 where repo_id = 1 and name = 'staging'", &[]).await?;
        self.sql("insert into environments (repo_id, name, position, namespace, branches, live_deploy_id) values (1, 'preview', 2, 'shop-preview', '[]', 1)", &[]).await
    }

    async fn release(&mut self, run: i64, job: i64, (state, environment): (&str, &str), age: i64) -> sqlx::Result<()> {
        let images = serde_json::json!({ "shop": format!("registry.acme.example/shop@sha256:{}", "4f2a91c0".repeat(8)) });
        let progress = progress(state, self.now);
        sqlx::query("insert into releases (repo_id, number, run_id, job_id, commit_sha, title, images, created_at) select 1, ?2, ?1, ?2, commit_sha, title, ?3, created_at from runs where id = ?1")
            .bind(run).bind(job).bind(images.to_string()).execute(&mut **self.tx).await?;
        sqlx::query("insert into deploys (repo_id, number, environment, namespace, release_id, run_id, job_id, state, verdict, reason, progress, requests_probed, requests_failed, created_at, started_at, finished_at)
            select 1, (select count(*) + 1 from deploys), ?3, 'shop', releases.id, ?1, ?2, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10 + 2000, ?11 from releases where job_id = ?2")
            .bind(run).bind(job).bind(environment).bind(state)
            .bind(&progress.verdict).bind((state == "failed").then_some("container shop exits with code 3 on 2 pods"))
            .bind(serde_json::to_string(&progress).unwrap_or_default())
            .bind((state == "passed").then_some(1240)).bind((state == "passed").then_some(0))
            .bind(self.now - age * MIN).bind((state != "running").then_some(self.now - age * MIN + 64_000))
            .execute(&mut **self.tx).await?;
        Ok(())
    }

    /// A run at work and two that wait.
    async fn open(&mut self) -> sqlx::Result<()> {
        let run = self.run(SeedRun { place: (1, 46, "tax/rounding", "running"), words: ("Round totals half to even, with a test", "jonas"), age: (1, None), reason: None }).await?;
        let unit = self.job(run, 0, SeedJob { what: ("unit", "steps", "[]", None), state: ("running", None), age: Some((1, None)), outputs: "{}" }).await?;
        self.step(unit, 0, ("go test ./…", "running", None), (1, None)).await?;
        self.logs.push((unit, 1, plain_log(self.now - MIN, 120)));
        self.job(run, 1, SeedJob { what: ("image", "build", "[\"unit\"]", None), state: ("waiting", None), age: None, outputs: "{}" }).await?;
        for (number, job, environment) in [(47, "docs", None), (48, "promote", Some("production"))] {
            let kind = if environment.is_some() { "deploy" } else { "steps" };
            let run = self.run(SeedRun { place: (1, number, "main", "queued"), words: ("Write down how refunds work", "mira"), age: (1, None), reason: None }).await?;
            self.job(run, 0, SeedJob { what: (job, kind, "[]", environment), state: ("queued", None), age: None, outputs: "{}" }).await?;
        }
        Ok(())
    }

    /// A file with mistakes, and output that wants to be more than output.
    async fn odd(&mut self) -> sqlx::Result<()> {
        let run = self.run(SeedRun { place: (2, 1, "main", "failed"), words: ("Publish the <b>manual</b> & more", "ade"), age: (12, Some(1000)), reason: Some("the pipeline file has 1 problem") }).await?;
        let problems = serde_json::json!([{ "line": 4, "column": 5, "text": "stpes", "message": "`stpes` is not a key of a job", "hint": "did you mean `steps`?" }]);
        sqlx::query("update runs set problems = ?, file = ? where id = ?")
            .bind(problems.to_string())
            .bind("on: [push]\njobs:\n  publish:\n    stpes:\n      - run: make publish\n")
            .bind(run).execute(&mut **self.tx).await?;
        let run = self.run(SeedRun { place: (3, 1, "trunk", "passed"), words: ("Hostile output", "ade"), age: (15, Some(9000)), reason: None }).await?;
        let job = self.job(run, 0, SeedJob { what: ("print", "steps", "[]", None), state: ("passed", None), age: Some((15, Some(8000))), outputs: "{}" }).await?;
        self.step(job, 0, ("print <everything>", "passed", Some(0)), (15, Some(8000))).await?;
        self.logs.push((job, 1, hostile_log(self.now - 15 * MIN)));
        Ok(())
    }
}

fn write(file: &mut Vec<u8>, (at_ms, step): (i64, u32), voice: Voice, text: &[u8]) {
    let record = Record { at_ms, step, voice, text };
    record.write(file);
}

fn plain_log(start: i64, lines: i64) -> Vec<u8> {
    let mut file = Vec::new();
    for n in 0..lines {
        let text = format!("\x1b[32mok\x1b[0m  \tacme.example/shop/pkg{n}\t0.{:03}s", n % 1000);
        write(&mut file, (start + n * 400, 0), Voice::Out, text.as_bytes());
    }
    file
}

fn failing_log(start: i64) -> Vec<u8> {
    let mut file = Vec::new();
    write(&mut file, (start, 0), Voice::Note, b"image golang:1.25 is here already");
    for n in 0..60 {
        write(&mut file, (start + n, 0), Voice::Out, format!("vet pkg{n}").as_bytes());
    }
    for n in 0..1800 {
        let text = format!("=== RUN   TestPrices/case_{n:04}");
        write(&mut file, (start + 12_000 + n * 30, 1), Voice::Out, text.as_bytes());
    }
    for text in [
        "\x1b[31m--- FAIL: TestTotal (0.02s)\x1b[0m",
        "    total_test.go:41: total of 3 × 0.35 is 1.06, want 1.05",
        "    total_test.go:42: rounding mode is \x1b[1mhalf up\x1b[0m, want \x1b[1mhalf to even\x1b[0m",
        "FAIL",
        "FAIL\tacme.example/shop/price\t0.412s",
        "ok  \tacme.example/shop/stock\t0.120s",
        "FAIL",
    ] {
        write(&mut file, (start + 80_000, 1), Voice::Out, text.as_bytes());
    }
    write(&mut file, (start + 80_100, 1), Voice::Note, b"the step ended with exit code 1");
    file
}

fn hostile_log(start: i64) -> Vec<u8> {
    let mut file = Vec::new();
    let long = "long ".repeat(12_000);
    let bars: String = (0..=100).map(|n| format!("{n}%\r")).collect();
    let texts: [&[u8]; 9] = [
        b"<script>alert(1)</script><!--/part-->",
        b"\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 \x1b]8;;https://acme.example/\x07the web\x1b]8;;\x07",
        b"bytes \xff\xfe\x00\x07 and \x1b[2J\x1b[H",
        "turned \u{202e}around".as_bytes(),
        long.as_bytes(),
        bars.as_bytes(),
        b"\x1b[1;33mwarning\x1b[0m: \x1b[38;5;208mtwo hundred and eight\x1b[0m \x1b[48;2;20;90;200mblue\x1b[0m \x1b[7mreverse\x1b[0m",
        b"",
        b"last",
    ];
    for text in texts {
        write(&mut file, (start, 0), Voice::Err, text);
    }
    file
}

fn progress(state: &str, now: i64) -> DeployProgress {
    let pod = |n: i64, new: bool, state: PodState, reason: Option<&str>| Pod {
        name: format!("shop-{}-{n:05}", if new { "7d9f6b" } else { "5c4e11" }),
        workload: "Deployment/shop".into(),
        new,
        state,
        reason: reason.map(Into::into),
        node: Some(format!("node-{}", n % 3)),
        restarts: if state == PodState::Failing { 4 } else { 0 },
        image: Some(format!("registry.acme.example/shop@sha256:{}", "4f2a91c0".repeat(8))),
        created_at: Timestamp(now - 3 * MIN),
        log: if state == PodState::Failing { vec!["cannot reach the database: connection refused".into()] } else { Vec::new() },
    };
    let crash = Some("CrashLoopBackOff, exit code 3");
    let (verdict, phase, pods, causes) = match state {
        "passed" => ("4f2a91c is live in staging: 3 of 3 ready, verified for 10 s", Phase::Done, (0..3).map(|n| pod(n, true, PodState::Ready, None)).collect(), Vec::new()),
        "failed" => (
            "4f2a91c did not arrive in production: container shop exits with code 3 on 2 pods; the old release still serves",
            Phase::Rolling,
            vec![pod(1, true, PodState::Failing, crash), pod(2, true, PodState::Failing, crash), pod(3, false, PodState::Ready, None), pod(4, false, PodState::Ready, None), pod(5, false, PodState::Ready, None)],
            vec![Cause {
                title: "Container shop exits with code 3 on 2 pods".into(),
                meaning: "The program starts and ends again by itself. Look at its last lines; a missing setting or an unreachable database is the usual cause.".into(),
                objects: vec!["shop-7d9f6b-00001".into(), "shop-7d9f6b-00002".into()],
                lines: vec!["starting shop 4f2a91c".into(), "cannot reach the database: connection refused".into()],
                since: Timestamp(now - 80 * MIN),
            }],
        ),
        _ => (
            "Rolling out 4f2a91c to staging: 2 of 4 ready, 1 starting",
            Phase::Rolling,
            vec![pod(1, true, PodState::Ready, None), pod(2, true, PodState::Ready, None), pod(3, true, PodState::Starting, Some("pulling image")), pod(4, false, PodState::Ready, None), pod(5, false, PodState::Terminating, None)],
            Vec::new(),
        ),
    };
    DeployProgress {
        phase,
        verdict: verdict.into(),
        deadline: (state == "running").then(|| Timestamp(now + 4 * MIN)),
        workloads: vec![Workload { kind: "Deployment".into(), name: "shop".into(), wanted: 4, updated: 3, ready: 2, available: 2, old: 2 }],
        pods,
        causes,
        events: vec![ClusterEvent { at: Timestamp(now - MIN), warning: state == "failed", object: "Pod/shop-7d9f6b-00001".into(), reason: "BackOff".into(), message: "Back-off restarting failed container shop".into(), count: 12 }],
    }
}
