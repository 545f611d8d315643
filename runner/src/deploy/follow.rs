//! Follows a rollout to its end: listens, looks, judges, tells.

mod sight;

use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use pipelines::deploy::{DeployProgress, Phase};
use pipelines::timestamp::Timestamp;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::progress::{Scene, Tails, picture, serving};
use super::rollback::Back;
use super::snapshot::{ContainerState, Snapshot, Target};
use super::steps::{Step, Steps};
use super::verdict::{
    Group, History, Problem, Rules, Taker, Verdict, diagnose, group, judge, lead,
};
use super::watch::{State, Word, listen};
use sight::Sight;

/// Between two looks: several words of the cluster that come together are judged together.
const LOOK: Duration = Duration::from_millis(200);
/// Lines kept of a failing container.
const TAIL_LINES: i64 = 20;
/// Most bytes of them.
const TAIL_BYTES: i64 = 8 * 1024;
/// Longest wait for them: they help, but the verdict does not depend on them.
const TAIL_TIMEOUT: Duration = Duration::from_secs(2);
/// Most times lines are fetched in one rollout.
const TAILS_MAX: usize = 40;

/// A rollout to follow.
pub(crate) struct Rollout<'a> {
    /// Where.
    pub(crate) cluster: &'a Cluster,
    /// In which namespace.
    pub(crate) namespace: &'a str,
    /// What was applied.
    pub(crate) targets: &'a [Target],
    /// What it must keep to.
    pub(crate) rules: Rules,
    /// `4f2a91c to staging`.
    pub(crate) what: &'a str,
    /// Ends the following, not the rollout.
    pub(crate) stop: &'a CancellationToken,
    /// Where pictures go.
    pub(crate) pictures: &'a watch::Sender<DeployProgress>,
    /// Set if it leads back from a release that has failed.
    pub(crate) back: Option<&'a Back>,
}

impl Rollout<'_> {
    fn frame(&self, picture: DeployProgress) -> DeployProgress {
        match self.back {
            Some(back) => back.frame(picture),
            None => picture,
        }
    }
}

/// How it ended.
pub(crate) struct Followed {
    /// The end.
    pub(crate) end: End,
    /// The last picture.
    pub(crate) last: DeployProgress,
    /// What serves now, in words.
    pub(crate) serving: String,
}

/// The end of a rollout.
pub(crate) enum End {
    /// Verified.
    Good,
    /// Failed, by this first cause, with the last lines of the container it is about.
    Failed(String, Vec<String>),
    /// The objects are somebody else's now.
    TakenOver(Taker),
    /// The cluster does not show how it goes, for this reason.
    Unseen(String),
    /// Asked to stop.
    Stopped,
}

/// Everything that following gathers.
struct Follower<'a, 'b> {
    rollout: &'a Rollout<'a>,
    steps: &'a mut Steps<'b>,
    state: State,
    sight: Sight,
    history: History,
    snapshot: Snapshot,
    groups: Vec<Group>,
    tails: Tails,
    fetched: Vec<(String, String, u32)>,
    /// How often there was no answer in time.
    tails_missed: usize,
    told: String,
    silence: String,
}

/// Follows until there is a verdict, or until it is asked to stop.
pub(crate) async fn follow(rollout: &Rollout<'_>, steps: &mut Steps<'_>) -> Followed {
    let sight = Sight::new();
    let history = History::new(sight.now());
    let mut follower = Follower {
        rollout,
        steps,
        state: State::default(),
        sight,
        history,
        snapshot: Snapshot::default(),
        groups: Vec::new(),
        tails: Tails::new(),
        fetched: Vec::new(),
        tails_missed: 0,
        told: String::new(),
        silence: "no answer".to_owned(),
    };
    let probe = rollout
        .targets
        .first()
        .map_or("", |target| target.name.as_str());
    let mut words = listen(&rollout.cluster.client, rollout.namespace, probe);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = rollout.stop.cancelled() => return follower.end(End::Stopped),
            word = words.next() => match word {
                Some(word) => follower.hear(word),
                // The watches never end by themselves.
                None => tokio::time::sleep(LOOK).await,
            },
            _ = looks.tick() => {
                if let Some(end) = follower.look().await {
                    return follower.end(end);
                }
            }
        }
    }
}

impl Follower<'_, '_> {
    fn hear(&mut self, word: Word) {
        if let Word::Silent(why) = &word {
            self.silence.clone_from(why);
        }
        if word.is_heard() {
            self.sight.hears();
        }
        self.state.take(word);
    }

    /// Looks once; the end, if there is one.
    async fn look(&mut self) -> Option<End> {
        if let Some(why) = self.state.refused(self.rollout.namespace) {
            return Some(End::Unseen(why));
        }
        if self.sight.is_blind() {
            let text = format!("the cluster does not answer ({})", self.silence);
            self.say(format!(
                "{text}: the rollout goes on there, and the time without sight does not count"
            ))
            .await;
            self.show(
                Phase::Rolling,
                format!("Rolling out {}: {text}", self.rollout.what),
                None,
            );
            return None;
        }
        let unlisted = self.state.unlisted();
        if !unlisted.is_empty() {
            let deadline = self.rollout.rules.deadline;
            let late = self.sight.now() >= self.history.progress_at.plus(deadline);
            return late.then(|| {
                let (lists, seconds) = (unlisted.join(" and "), deadline.as_secs());
                End::Unseen(format!(
                    "the cluster has not listed {lists} for {seconds} s"
                ))
            });
        }
        let verdict = self.judge().await;
        if verdict == Verdict::Good {
            // A watch can be stalled without a sign. Success is read afresh, once.
            let fresh = self
                .state
                .refresh(&self.rollout.cluster.client, self.rollout.namespace);
            if let Err(why) = fresh.await {
                self.silence = why;
                return None;
            }
            let verdict = self.judge().await;
            return self.tell(verdict).await;
        }
        self.tell(verdict).await
    }

    async fn judge(&mut self) -> Verdict {
        let targets = self.rollout.targets;
        let now = self.sight.now();
        self.snapshot = self.state.snapshot(targets);
        let problems = diagnose(targets, &self.snapshot);
        self.history.note(targets, &self.snapshot, &problems, now);
        self.groups = group(&problems, &self.history, now);
        self.read_tails(&problems).await;
        judge(
            targets,
            &self.snapshot,
            &self.history,
            self.rollout.rules,
            now,
        )
    }

    async fn tell(&mut self, verdict: Verdict) -> Option<End> {
        let what = self.rollout.what;
        match verdict {
            Verdict::Progressing { sentence } => {
                let wrong: Vec<String> = self.groups.iter().map(Group::short).collect();
                let wrong = wrong
                    .iter()
                    .fold(String::new(), |all, one| format!("{all}, {one}"));
                let deadline = self.history.progress_at.plus(self.rollout.rules.deadline);
                let deadline = deadline.plus(self.sight.blind());
                self.say(format!("{sentence}{wrong}")).await;
                let text = format!("Rolling out {what}: {sentence}{wrong}");
                self.show(Phase::Rolling, text, Some(deadline));
                None
            }
            Verdict::Baking { until } => {
                self.steps.begin(Step::Verify).await;
                let seconds = self.rollout.rules.bake.as_secs();
                self.say(format!(
                    "all pods are ready; watching {seconds} s for restarts"
                ))
                .await;
                let text = format!("Rolling out {what}: all pods are ready, watching for restarts");
                self.show(Phase::Verifying, text, Some(until.plus(self.sight.blind())));
                None
            }
            Verdict::Good => {
                self.steps.begin(Step::Verify).await;
                Some(End::Good)
            }
            Verdict::Failed { cause, problem } => {
                let Some(problem) = problem else {
                    return Some(End::Failed(cause, Vec::new()));
                };
                lead(&mut self.groups, &problem, self.sight.now());
                self.read_tails(std::slice::from_ref(&problem)).await;
                let key = (problem.object, problem.container.unwrap_or_default());
                let lines = self.tails.get(&key).cloned().unwrap_or_default();
                Some(End::Failed(cause, lines))
            }
            Verdict::TakenOver { by } => Some(End::TakenOver(by)),
        }
    }

    /// Writes a sentence to the log, if it is another one than the last.
    async fn say(&mut self, text: String) {
        if text != self.told {
            self.steps.note(&text).await;
            self.told = text;
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            targets: self.rollout.targets,
            snapshot: &self.snapshot,
            groups: &self.groups,
            tails: &self.tails,
        }
    }

    fn show(&self, phase: Phase, text: String, deadline: Option<Timestamp>) {
        let next = picture(&self.scene(), phase, text, deadline);
        let next = self.rollout.frame(next);
        self.rollout.pictures.send_if_modified(|last| {
            let changed = *last != next;
            if changed {
                *last = next;
            }
            changed
        });
    }

    fn end(self, end: End) -> Followed {
        Followed {
            end,
            last: picture(&self.scene(), Phase::Done, String::new(), None),
            serving: serving(&self.snapshot),
        }
    }

    /// Fetches the last lines of containers that have died since the last look.
    async fn read_tails(&mut self, problems: &[Problem]) {
        for problem in problems {
            let Some(container) = problem.container.as_deref().filter(|_| problem.has_log()) else {
                continue;
            };
            let key = (problem.object.clone(), container.to_owned(), problem.deaths);
            if self.fetched.len() + self.tails_missed >= TAILS_MAX || self.fetched.contains(&key) {
                continue;
            }
            let Ok(lines) = self.tail(&problem.object, container).await else {
                // The node was too busy to answer: the next look asks again.
                self.tails_missed += 1;
                continue;
            };
            self.fetched.push(key);
            if !lines.is_empty() {
                self.tails
                    .insert((problem.object.clone(), container.to_owned()), lines);
            }
        }
    }

    /// The last lines of a container, or of the one before it in the same pod: between the picture and
    /// the question, the dead one may have been replaced, whose own log is still empty.
    async fn tail(&self, pod: &str, container: &str) -> Result<Vec<String>, Elapsed> {
        let mut pods = self.snapshot.workloads.iter().flat_map(|view| &view.pods);
        let view = pods.find(|view| view.name == pod);
        let view = view.and_then(|view| view.containers.iter().find(|view| view.name == container));
        // A container that runs again has begun a new log; the one before says why it died.
        let previous =
            view.is_some_and(|view| view.restarts > 0 && view.state == ContainerState::Running);
        let lines = self.lines_of(pod, container, previous).await?;
        match lines.is_empty() {
            true => self.lines_of(pod, container, !previous).await,
            false => Ok(lines),
        }
    }

    async fn lines_of(
        &self,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<Vec<String>, Elapsed> {
        let api =
            Api::<Pod>::namespaced(self.rollout.cluster.client.clone(), self.rollout.namespace);
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(TAIL_LINES),
            limit_bytes: Some(TAIL_BYTES),
            ..LogParams::default()
        };
        let asked = tokio::time::timeout(TAIL_TIMEOUT, api.logs(pod, &params)).await?;
        // A refusal says that there is no such log.
        let text = asked.unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }
}
