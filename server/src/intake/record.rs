//! Storing what was decided, in one transaction.

use anyhow::Context as _;
use pipelines::cron::Cron;
use pipelines::environment::Environments;
use pipelines::event::{EventKind, GitEvent};
use pipelines::ids::{DeliveryId, RepoId, RunId, RunNumber};
use pipelines::job::State;
use pipelines::order::{HeadMove, Order};
use pipelines::plan::{Concurrency, Newest, Plan};
use pipelines::run::{Run, RunEvent};
use pipelines::timestamp::Timestamp;
use serde_json::json;

use super::decide::{Decided, Decision, Verdict};
use super::order;
use crate::app::App;
use crate::live::Topic;
use crate::progress;
use crate::store::deliveries::{self, End};
use crate::store::progress::{Event, append};
use crate::store::repos::{self, Repo};
use crate::store::runs::{self, NewRun, Newcomer};
use crate::store::schedules::{self, Schedule};
use crate::store::{Tx, environments, heads, late, outbox};

/// What is to be stored together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    /// The delivery that ends with it.
    pub(super) delivery: Option<DeliveryId>,
    /// The head that the delivery is about, and how it stands to what was handled before.
    pub(super) moved: Option<(&'a HeadMove, Order)>,
    /// The run that is made again.
    pub(super) rerun_of: Option<RunId>,
    pub(super) repo: &'a Repo,
    pub(super) event: &'a GitEvent,
    /// The schedule that started it, and the moment of its next start.
    pub(super) schedule: Option<(&'a Schedule, Timestamp)>,
    pub(super) decided: &'a Decided,
}

impl Batch<'_> {
    /// Whether something newer has been handled before.
    fn is_late(&self) -> bool {
        matches!(self.moved, Some((_, Order::Late(_))))
    }
}

/// Stores the runs, their beginnings, what GitHub must be told, and the end of the delivery.
pub(super) async fn record(app: &App, batch: Batch<'_>) -> anyhow::Result<Vec<RunNumber>> {
    let mut tx = app.store.begin().await?;
    let (numbers, topics) = record_in(&mut tx, batch, app.clock.now()).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "intake.recorded");
    progress::tell(app, &topics);
    Ok(numbers)
}

/// The same as a part of a transaction; the topics are told once it is committed.
pub(super) async fn record_in(
    tx: &mut Tx,
    mut batch: Batch<'_>,
    now: Timestamp,
) -> anyhow::Result<(Vec<RunNumber>, Vec<Topic>)> {
    if let Some(delivery) = batch.delivery
        && !deliveries::is_open(tx, delivery).await?
    {
        return Ok((Vec::new(), Vec::new()));
    }
    if let Some((moved, Order::First)) = batch.moved
        && late::is_newer_made(tx, batch.repo.id, batch.event, moved.at).await?
    {
        batch.moved = Some((moved, Order::Late(None)));
    }
    // What a person starts brings no news of the repository, only what was read here before the calls;
    // what comes late brings old news.
    if batch.delivery.is_some() && !batch.is_late() {
        repos::upsert(tx, batch.repo, now).await?;
    }
    if let Some(environments) = &batch.decided.environments
        && !batch.decided.decisions.is_empty()
    {
        store_environments(tx, batch.repo.id, environments).await?;
    }
    if is_news_of_default_branch(&batch) {
        store_schedules(tx, &batch, now).await?;
    }
    if let Some((schedule, next)) = batch.schedule {
        schedules::advance(tx, schedule, next).await?;
    }
    let (mut numbers, mut topics) = (Vec::new(), vec![Topic::Repo(batch.repo.id)]);
    for decision in &batch.decided.decisions {
        if let Some((number, more)) = store_run(tx, &batch, decision, now).await? {
            numbers.push(number);
            topics.extend(more);
        }
    }
    if let Some(delivery) = batch.delivery {
        let words = outcome(&batch, &numbers);
        deliveries::close(tx, delivery, (End::Done, &words), now).await?;
        if let Some((moved, Order::First | Order::Next)) = batch.moved {
            heads::advance(tx, (batch.repo.id, moved), delivery).await?;
        }
    }
    Ok((numbers, topics))
}

/// Whether the files were read at the newest commit of the default branch.
fn is_news_of_default_branch(batch: &Batch<'_>) -> bool {
    batch.delivery.is_some()
        && !batch.is_late()
        && batch.event.kind == EventKind::Push
        && batch.event.branch.as_ref() == Some(&batch.repo.default_branch)
}

/// Puts on record when the pipelines start by themselves. A file that cannot be read keeps what it
/// said before.
async fn store_schedules(tx: &mut Tx, batch: &Batch<'_>, now: Timestamp) -> anyhow::Result<()> {
    let repo = batch.repo.id;
    let mut keep = Vec::new();
    for decision in &batch.decided.decisions {
        let Some(schedules) = &decision.schedules else {
            keep.push(json!([decision.pipeline, null, null]));
            continue;
        };
        for (cron, zone) in schedules {
            keep.push(json!([decision.pipeline, cron, zone]));
            let next = Cron::parse(cron, zone).ok();
            let Some(at) = next.and_then(|cron| cron.next_after(now)) else {
                continue;
            };
            let new = Schedule {
                repo,
                pipeline: decision.pipeline.clone(),
                cron: cron.clone(),
                zone: zone.clone(),
                at,
            };
            schedules::add(tx, &new).await?;
        }
    }
    schedules::remove_others(tx, repo, &serde_json::to_string(&keep)?).await?;
    Ok(())
}

async fn store_environments(
    tx: &mut Tx,
    repo: RepoId,
    declared: &Environments,
) -> anyhow::Result<()> {
    let order = declared.promotion_order();
    let names: Vec<_> = order.iter().map(|environment| &environment.name).collect();
    environments::delete_others(tx, repo, &serde_json::to_string(&names)?).await?;
    for (position, environment) in order.into_iter().enumerate() {
        let patterns = environment.branches.as_ref();
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let patterns = serde_json::to_string(&patterns)?;
        environments::upsert(tx, (repo, position), environment, &patterns).await?;
    }
    Ok(())
}

/// Stores a run if the decision is one, and has not been stored before.
async fn store_run(
    tx: &mut Tx,
    batch: &Batch<'_>,
    decision: &Decision,
    now: Timestamp,
) -> anyhow::Result<Option<(RunNumber, Vec<Topic>)>> {
    let schedule_at = batch.schedule.map(|(schedule, _)| schedule.at);
    if let Some(at) = schedule_at
        && runs::is_scheduled(tx, batch.repo.id, &decision.pipeline, at).await?
    {
        return Ok(None);
    }
    if batch.is_late() && late::is_made(tx, batch.repo.id, &decision.pipeline, batch.event).await? {
        return Ok(None);
    }
    let mut templates = "[]".to_owned();
    let mut problems = "[]".to_owned();
    let mut concurrency = None;
    let (state, reason) = match &decision.verdict {
        Verdict::Run(plan) => {
            templates = serde_json::to_string(&plan.templates)?;
            concurrency = plan.concurrency.as_ref();
            (Run::from_plan(plan).state(), None)
        }
        Verdict::Broken(reason, wrong) => {
            problems = serde_json::to_string(wrong)?;
            (State::Failed, Some(reason.as_str()))
        }
        Verdict::NotTriggered(_) => return Ok(None),
    };
    let new = NewRun {
        repo: batch.repo.id,
        pipeline: &decision.pipeline,
        // The delivery that asks for a rerun may ask for it only; its own event made other runs.
        delivery: batch.delivery,
        event: batch.event,
        state,
        reason,
        problems: &problems,
        file: &decision.file,
        rerun_of: batch.rerun_of,
        concurrency,
        templates: &templates,
        schedule_at,
        event_at: batch.moved.and_then(|(moved, _)| moved.at),
    };
    let Some((run, number)) = runs::insert(tx, new, now).await? else {
        return Ok(None);
    };
    let detail = json!({
        "number": number, "pipeline": decision.pipeline, "state": state, "reason": reason,
        "rerun_of": batch.rerun_of,
    });
    let line = Event {
        job: None,
        kind: "run.created",
        detail: &detail.to_string(),
    };
    append(tx, run, now, line).await?;
    outbox::enqueue_check(tx, run, now).await?;
    let mut topics = vec![Topic::Run(run)];
    if let Verdict::Run(plan) = &decision.verdict {
        topics.extend(begin(tx, (run, plan), now).await?);
    }
    if let (Some((_, Order::Late(newer))), Verdict::Run(plan)) = (batch.moved, &decision.verdict) {
        topics.extend(order::give_way(tx, (run, plan), newer, now).await?);
    } else if let Some(concurrency) = concurrency {
        topics.extend(supersede(tx, batch, (concurrency, number), now).await?);
    }
    Ok(Some((number, topics)))
}

/// Stores the jobs of a run, and readies those that need nothing.
async fn begin(
    tx: &mut Tx,
    (run, plan): (RunId, &Plan),
    now: Timestamp,
) -> anyhow::Result<Vec<Topic>> {
    let jobs = Run::from_plan(plan).jobs;
    for (position, pair) in plan.jobs.iter().zip(&jobs).enumerate() {
        runs::insert_job(tx, (run, position), pair, now).await?;
    }
    let begun = progress::begin(tx, now, run).await;
    begun.context("cannot begin a run that was just stored")
}

/// The newest run of a group wins, if it wants to: the older ones end, but for what they are rolling
/// out.
async fn supersede(
    tx: &mut Tx,
    batch: &Batch<'_>,
    (concurrency, number): (&Concurrency, RunNumber),
    now: Timestamp,
) -> anyhow::Result<Vec<Topic>> {
    let mut topics = Vec::new();
    let new = Newcomer {
        repo: batch.repo.id,
        group: &concurrency.group,
        trust: batch.event.trust(),
        number,
        delivery: batch.delivery,
    };
    let older = match concurrency.newest {
        Newest::Wins => runs::older_of_group(tx, new).await?,
        Newest::Waits => Vec::new(),
    };
    for older in older {
        let reason = format!("superseded by run #{number}");
        let moved = progress::apply_in(tx, now, older, RunEvent::Supersede { reason }).await;
        topics.extend(moved.context("cannot supersede an older run")?.topics);
    }
    Ok(topics)
}

/// What came of a delivery, in words.
fn outcome(batch: &Batch<'_>, numbers: &[RunNumber]) -> String {
    let decisions = &batch.decided.decisions;
    if decisions.is_empty() {
        return "no pipeline file at this commit".into();
    }
    let mut words: Vec<String> = numbers
        .iter()
        .map(|number| format!("run {number}"))
        .collect();
    for decision in decisions {
        if let Verdict::NotTriggered(reason) = &decision.verdict {
            words.push(format!("`{}` not started: {reason}", decision.pipeline));
        }
    }
    if words.is_empty() {
        return "its runs had been made before".into();
    }
    if let Some((moved, Order::Late(_))) = batch.moved {
        words.push(format!("it came late: `{}` had moved on", moved.name));
    }
    words.join("; ")
}
