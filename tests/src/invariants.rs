//! What must hold whatever was killed, cut or filled up: the invariants that every story of the
//! fault campaign ends with, read off the database, the stand-in GitHub, the engine and the disk.
//!
//! Two are the stories' own: how often a step really started and what it really said (I2 and I5) only
//! the step knows, so their scripts count themselves and number their lines. What deploys did to a
//! cluster (I7 and I8) is looked at in the stories of deploys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipelines::run::{Run, RunEvent};
use serde::Deserialize;

use crate::docker::Docker;
use crate::history::History;
use crate::world::{WEBHOOK_SECRET, World};

/// How long everything may take to end after the last fault.
const SETTLE_LIMIT: Duration = Duration::from_secs(90);

/// Work that is still to be done. Each of these gives sentences, and none once all is quiet.
const UNDONE: &[&str] = &[
    "select 'delivery ' || id || ' is not handled' from deliveries where state = 'stored'",
    "select 'run ' || id || ' is ' || state from runs where state in ('waiting', 'queued', 'running')",
    "select subject || ' is not told: ' || coalesce(error, 'no attempt yet') \
     from outbox where done_at is null",
];

/// Questions that give a sentence for everything that breaks a promise.
const BROKEN: &[&str] = &[
    // I1: every event that was taken has come to a run or a reason, and to one run only.
    "select 'I1: delivery ' || id || ' ended as ' || state || ' without a word' \
     from deliveries where state != 'stored' and outcome is null",
    "select 'I1: ' || count(*) || ' runs of ' || event || ' ' || commit_sha || ': ' || group_concat(id) \
     from runs where rerun_of is null and event in ('push', 'pull_request') \
     group by repo_id, pipeline, event, branch, tag, pull_request, commit_sha having count(*) > 1",
    // I2: as many attempts as were counted, and never two at once.
    "select 'I2: job ' || id || ' counts ' || attempt || ' attempts' from jobs \
     where attempt != (select count(*) from attempts where job_id = jobs.id)",
    "select 'I2: attempt ' || later.attempt || ' of job ' || later.job_id || ' began too early' \
     from attempts earlier join attempts later using (job_id) \
     where later.attempt > earlier.attempt \
       and (earlier.finished_at is null or later.started_at < earlier.finished_at)",
    // I3: one end, and nothing after it.
    "select 'I3: run ' || run_id || ' ended ' || count(*) || ' times' from events \
     where kind = 'run.state' \
       and json_extract(detail, '$.state') not in ('waiting', 'queued', 'running') \
     group by run_id having count(*) > 1",
    "select distinct 'I3: run ' || later.run_id || ' moved after its end' \
     from events later join events ended using (run_id) \
     where ended.kind = 'run.state' and later.id > ended.id \
       and json_extract(ended.detail, '$.state') not in ('waiting', 'queued', 'running')",
    "select 'I3: attempt ' || attempt || ' of job ' || job_id || ' never ended' \
     from attempts where finished_at is null",
    "select 'I3: step ' || position || ' of job ' || job_id || ' never ended' \
     from steps where state = 'running'",
    // I4: whoever had lost the lease wrote nothing any more.
    "select 'I4: step ' || position || ' of job ' || job_id || ' began after its attempt' \
     from steps join attempts using (job_id, attempt) \
     where steps.started_at > attempts.finished_at",
    // I6: what was told last is how it ended.
    "select 'I6: run ' || runs.id || ' is ' || state || ', told was ' || coalesce(sent_state, 'nothing') \
     from runs left join checks on run_id = runs.id where state is not sent_state",
    // I10: the file is whole.
    "select 'I10: ' || integrity_check from pragma_integrity_check where integrity_check != 'ok'",
    "select 'I10: a row of ' || \"table\" || ' points at nothing' from pragma_foreign_key_check",
];

impl World {
    /// Waits until all work has ended, which it must (I12), and fails with every promise that was
    /// broken on the way. The server has to run, and so have the runners that had work.
    pub async fn check_invariants(&self) -> Result<()> {
        let quiet = self.eventually("all work to end", SETTLE_LIMIT, async || {
            let mut left = self.undone().await?;
            left.extend(self.leftovers().await?);
            ensure!(left.is_empty(), "I12, I9: {left:#?}");
            Ok(())
        });
        quiet.await?;
        let history = self.history().await?;
        let mut broken = all(&history, BROKEN).await?;
        broken.extend(unfaithful_records(&history).await?);
        broken.extend(self.untold_events(&history).await?);
        broken.extend(self.false_checks(&history).await?);
        broken.extend(self.spilled_secrets().await?);
        ensure!(broken.is_empty(), "{}\n{}", broken.join("\n"), self.tail());
        Ok(())
    }

    /// What is still to be done, in sentences.
    pub async fn undone(&self) -> Result<Vec<String>> {
        all(&self.history().await?, UNDONE).await
    }

    /// I1: events that were answered with 2xx and are not there.
    async fn untold_events(&self, history: &History) -> Result<Vec<String>> {
        let known = history.texts("select guid from deliveries").await?;
        let bodies = "select cast(body as text) from deliveries";
        let bodies = history.texts(bodies).await?;
        let sent = self.github.deliveries();
        let lost = sent.into_iter().filter(|one| {
            // A replay under another id is known by its body.
            one.accepted() && !known.contains(&one.guid) && !bodies.contains(&one.body)
        });
        Ok(lost
            .map(|one| format!("I1: {} {} is lost", one.event, one.guid))
            .collect())
    }

    /// I6: checks at GitHub that say something else than the run.
    async fn false_checks(&self, history: &History) -> Result<Vec<String>> {
        let all = "select owner || '/' || name || ' ' || commit_sha || ' ' || runs.id || ' ' || state \
                   from runs join repos on repos.id = repo_id";
        let mut found = Vec::new();
        for line in history.texts(all).await? {
            let words: Vec<&str> = line.split(' ').collect();
            let [repository, sha, run, state] = words[..] else {
                continue;
            };
            // What GitHub does not have any more, nobody can be told of.
            let Ok(repository) = self.github.repository(repository) else {
                continue;
            };
            let checks = repository.check_runs(sha);
            let ours = |id: &&crate::github::CheckRun| id.external_id.as_deref() == Some(run);
            let told: Vec<_> = checks.iter().filter(ours).collect();
            let ends: Vec<_> = told.iter().map(|one| one.conclusion.as_deref()).collect();
            if ends != [Some(conclusion(state))] {
                found.push(format!("I6: run {run} is {state}, GitHub has {ends:?}"));
            }
        }
        Ok(found)
    }

    /// I9: what nobody owns any more: on the engine, and in the folders of runners.
    async fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for entry in std::fs::read_dir(self.dir())? {
            let jobs = entry?.path().join("state/jobs");
            left.extend(files(&jobs)?.iter().map(|path| path.display().to_string()));
        }
        let Ok(docker) = Docker::connect() else {
            return Ok(left);
        };
        let names = "select owner || '/' || name from repos";
        for name in self.history().await?.texts(names).await? {
            // The engine is shared: only these are of this world alone.
            if name.ends_with(&self.id()) {
                left.extend(docker.objects_of(&name).await?);
            }
        }
        Ok(left)
    }

    /// I11: files that have a secret in them which they should not.
    async fn spilled_secrets(&self) -> Result<Vec<String>> {
        let key = self.github.private_key_pem();
        let line = key.lines().nth(1).context("a key has lines")?;
        // Whatever the stand-in's tokens are, they begin like that.
        let mut secrets = vec![
            WEBHOOK_SECRET.to_owned(),
            line.to_owned(),
            "ghs_".to_owned(),
        ];
        let mut texts = files(&self.data())?;
        for entry in std::fs::read_dir(self.dir())? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") {
                texts.push(path.clone());
            }
            if let Ok(token) = std::fs::read_to_string(path.join("token")) {
                secrets.push(token.trim().to_owned());
            }
        }
        let mut spilled = Vec::new();
        for path in texts {
            // It may be gone by now.
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let known = secrets.iter().filter(|secret| text.contains(*secret));
            spilled.extend(known.map(|_| format!("I11: a secret is in {}", path.display())));
        }
        Ok(spilled)
    }
}

async fn all(history: &History, queries: &[&'static str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for query in queries {
        let answer = history.texts(query).await;
        found.extend(answer.with_context(|| format!("asked `{query}`"))?);
    }
    Ok(found)
}

/// An applied event, as the record has it.
#[derive(Deserialize)]
struct Recorded {
    event: RunEvent,
    initial: Option<Run>,
}

/// I3: runs whose record, replayed, gives another state than the stored one.
async fn unfaithful_records(history: &History) -> Result<Vec<String>> {
    let runs = "select distinct run_id || ' ' || state from events join runs on runs.id = run_id \
                where kind = 'run.event' order by run_id";
    let lines = "select run_id || ' ' || detail from events where kind = 'run.event' order by id";
    let lines = history.texts(lines).await?;
    let mut found = Vec::new();
    for run in history.texts(runs).await? {
        let (id, state) = run.split_once(' ').context("two words")?;
        let mut replayed: Option<Run> = None;
        for line in lines.iter().filter_map(|line| line.split_once(' ')) {
            if line.0 != id {
                continue;
            }
            let recorded: Recorded = serde_json::from_str(line.1)?;
            let run = replayed.get_or_insert(recorded.initial.unwrap_or(Run { jobs: Vec::new() }));
            if run.apply(recorded.event).is_err() {
                found.push(format!("I3: the record of run {id} cannot be replayed"));
            }
        }
        let end = replayed.map_or("nothing", |run| run.state().as_str());
        if end != state {
            found.push(format!("I3: run {id} is {state}, its record says {end}"));
        }
    }
    Ok(found)
}

/// GitHub's word for how a run ended.
fn conclusion(state: &str) -> &str {
    match state {
        "passed" => "success",
        "failed" | "infrastructure_error" => "failure",
        "cancelled" | "superseded" => "cancelled",
        // The others are called the same there.
        other => other,
    }
}

/// Every file below a folder; none if it is not there.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    Ok(found)
}
