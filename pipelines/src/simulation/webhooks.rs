//! A seeded world of one branch: it is pushed to, forced back, deleted and made again, while its
//! webhooks are lost, come late, twice and in any order, and a server handles what has come. Whatever
//! happens, no older commit takes the place of the one where the branch stands, no event makes two
//! runs, and in the end the newest commit alone is left.
//!
//! GitHub's answers and the server's tables are modelled; [`crate::order`] decides. As in the world
//! of runs, a failing seed is printed and belongs into [`FAILED_ONCE`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::random::Random;
use super::{NamedOnFailure, WORLDS};
use crate::ids::DeliveryId;
use crate::order::{Head, HeadMove, Order, at_hand, by_history, by_present, is_gone};
use crate::timestamp::Timestamp;

const STEPS_MAX: u64 = 24;
/// Seeds of worlds that have failed: kept, so that they never do again. What went wrong in them: a
/// branch was forced back, and an event that had once led away from there came late (251); what had
/// been found came as a webhook once the branch was gone (527), or too late to be news (65383); the
/// branch was gone only before it was made again (713); since when a branch stood where it was found
/// was not known (2209); all that had ever happened to a branch that was gone came as news (8218,
/// 79355); a branch stood again where an old event had led (148, 3574).
const FAILED_ONCE: [u64; 9] = [251, 527, 713, 2209, 8218, 148, 65383, 79355, 3574];

/// F10
#[test]
fn webhooks_in_any_order_let_no_older_commit_take_a_newer_ones_place() {
    for seed in FAILED_ONCE.into_iter().chain(0..2 * WORLDS) {
        let _named = NamedOnFailure(seed);
        live(seed);
    }
}

/// The worlds must be worth living in: each kind of accident has to happen, and often.
#[test]
fn the_webhooks_meet_every_kind_of_accident() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..5000 {
        for (what, count) in live(seed).seen {
            *seen.entry(what).or_default() += count;
        }
    }
    let wanted = "lost, repeated, forced, deleted, known, late, late and made before, found, \
                  late to what was gone, told by the present, told by the history, GitHub away, \
                  superseded";
    for what in wanted.split(", ") {
        let count = seen.get(what).copied().unwrap_or_default();
        assert!(count >= 5, "{what}: {seen:?}");
    }
}

fn live(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..world.random.below(STEPS_MAX) {
        world.step();
    }
    world.be_fair();
    world.check_the_end();
    world
}

/// A commit is its place in the list of all.
type Commit = usize;

/// What a delivery tells. A push is named by its place in the order in which they really happened.
#[derive(Debug, Clone)]
struct Told {
    guid: String,
    push: usize,
    before: Option<Commit>,
    /// None if the branch was deleted.
    after: Option<Commit>,
    at: Timestamp,
}

#[derive(Debug)]
struct Run {
    commit: Commit,
    by: DeliveryId,
    /// The last push that it is known to stand for.
    push: usize,
    /// When the event that made it happened.
    at: Timestamp,
    is_superseded: bool,
}

#[derive(Debug)]
struct World {
    random: Random,
    /// In halves of a second.
    now: i64,
    /// Of each commit the one before.
    parents: Vec<Option<Commit>>,
    /// Where each push brought the branch.
    pushes: Vec<Option<Commit>>,
    post: Vec<Told>,
    /// What has ever arrived.
    guids: BTreeSet<String>,
    last: i64,
    open: VecDeque<(DeliveryId, Told)>,
    /// The server's record of the branch, and where it stood elsewhere at the last look and when.
    head: Option<Head>,
    differed: Option<(Commit, Timestamp)>,
    runs: Vec<Run>,
    seen: BTreeMap<&'static str, u32>,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random::new(seed),
            now: 0,
            parents: Vec::new(),
            pushes: Vec::new(),
            post: Vec::new(),
            guids: BTreeSet::new(),
            last: 0,
            open: VecDeque::new(),
            head: None,
            differed: None,
            runs: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// By GitHub's clock of whole seconds.
    fn second(&self) -> Timestamp {
        Timestamp(self.now / 2)
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn present(&self) -> Option<Commit> {
        self.pushes.last().copied().flatten()
    }

    fn is_ancestor(&self, older: Commit, newer: Commit) -> bool {
        std::iter::successors(self.parents[newer], |commit| self.parents[*commit])
            .any(|commit| commit == older)
    }

    fn step(&mut self) {
        self.now += 1;
        match self.random.below(10) {
            0..=3 => self.push(),
            4..=5 => self.arrive(),
            6..=8 => self.handle(true),
            _ => self.look(),
        }
    }

    /// Somebody moves the branch, and GitHub tells of it or not.
    fn push(&mut self) {
        let before = self.present();
        let count = self.parents.len();
        let after = match (before, self.random.below(10)) {
            (Some(_), 0) => None,
            // To a commit that has been there before, or to a new one beside the newest.
            (Some(_), 1..=2) => Some(self.random.below(count as u64) as usize),
            (Some(now), 3) => Some(self.commit(self.parents[now])),
            (now, _) => Some(self.commit(now)),
        };
        if after == before {
            return;
        }
        let forced = match (before, after) {
            (Some(before), Some(after)) => !self.is_ancestor(before, after),
            (None, _) | (_, None) => false,
        };
        if forced {
            self.see("forced");
        }
        let push = self.pushes.len();
        self.pushes.push(after);
        let told = Told {
            guid: format!("push {push}"),
            push,
            before,
            after,
            at: self.second(),
        };
        match self.random.below(10) {
            0..=1 => self.see("lost"),
            2..=3 => {
                self.see("repeated");
                self.post.extend([told.clone(), told]);
            }
            _ => self.post.push(told),
        }
    }

    fn commit(&mut self, parent: Option<Commit>) -> Commit {
        self.parents.push(parent);
        self.parents.len() - 1
    }

    /// Any webhook that is on its way arrives.
    fn arrive(&mut self) {
        if self.post.is_empty() {
            return;
        }
        let any = self.random.below(self.post.len() as u64) as usize;
        let told = self.post.swap_remove(any);
        self.store(told);
    }

    /// A delivery is stored once; its number says when it came.
    fn store(&mut self, told: Told) {
        if self.guids.insert(told.guid.clone()) {
            self.last += 1;
            self.open.push_back((DeliveryId(self.last), told));
        }
    }

    /// The delivery that has waited longest is handled, unless GitHub is away just then.
    fn handle(&mut self, may_fail: bool) {
        if may_fail && self.random.chance(10) {
            return self.see("GitHub away");
        }
        let Some((delivery, told)) = self.open.pop_front() else {
            return;
        };
        let moved = HeadMove {
            name: "refs/heads/main".into(),
            before: told.before.map(|commit| commit.to_string()),
            after: told.after.or(told.before).unwrap_or(0).to_string(),
            at: Some(told.at),
        };
        let Some(after) = told.after else {
            self.see("deleted");
            self.head.take_if(|head| is_gone(head, &moved));
            return;
        };
        let order = match self.order(delivery, &moved) {
            Order::First if self.gives_way(&told, None) => {
                self.see("late to what was gone");
                Order::Late(None)
            }
            order => order,
        };
        match order {
            Order::Known => {
                self.see("known");
                if let Some(head) = &mut self.head {
                    head.at = head.at.max(moved.at);
                }
                let mut same = self.runs.iter_mut().rev();
                if let Some(run) = same.find(|run| run.commit == after) {
                    run.push = run.push.max(told.push);
                }
            }
            Order::First | Order::Next => {
                self.supersede((delivery, told.push));
                self.run(delivery, &told, false);
                self.head = Some(Head {
                    object: moved.after,
                    by: Some(delivery),
                    at: moved.at,
                });
            }
            Order::Late(_) if self.is_made(after) => {
                self.see("late and made before");
            }
            Order::Late(newer) => {
                self.see("late");
                let gives_way = self.gives_way(&told, newer);
                self.run(delivery, &told, gives_way);
            }
        }
    }

    fn order(&mut self, delivery: DeliveryId, moved: &HeadMove) -> Order {
        if let Some(order) = at_hand(self.head.as_ref(), delivery, moved) {
            return order;
        }
        let head = self
            .head
            .clone()
            .expect("of an unknown head nothing is asked");
        let present = self.present().map(|commit| commit.to_string());
        if let Some(order) = by_present(&head, moved, present.as_deref()) {
            self.see("told by the present");
            return order;
        }
        self.see("told by the history");
        let number = |object: &str| object.parse().expect("an object is a number here");
        let is_ancestor = self.is_ancestor(number(&moved.after), number(&head.object));
        by_history(&head, moved, is_ancestor)
    }

    fn run(&mut self, by: DeliveryId, told: &Told, is_superseded: bool) {
        self.runs.push(Run {
            commit: told.after.expect("a branch that is gone has no runs"),
            by,
            push: told.push,
            at: told.at,
            is_superseded,
        });
    }

    fn is_made(&self, commit: Commit) -> bool {
        self.runs.iter().any(|run| run.commit == commit)
    }

    /// Whether there is a run of something newer: of that delivery, or of what happened later.
    fn gives_way(&self, told: &Told, newer: Option<DeliveryId>) -> bool {
        let is_newer = |run: &Run| Some(run.by) == newer || run.at > told.at;
        self.runs.iter().any(is_newer)
    }

    /// The runs of older deliveries end: never that of the last push for one before it.
    fn supersede(&mut self, (delivery, push): (DeliveryId, usize)) {
        let last = self.pushes.len() - 1;
        let mut count = 0;
        for run in &mut self.runs {
            if run.by < delivery && !run.is_superseded {
                assert!(
                    run.push != last || push >= last,
                    "push {push} takes the place of the last one, {last}"
                );
                run.is_superseded = true;
                count += 1;
            }
        }
        if count > 0 {
            self.see("superseded");
        }
    }

    /// The server looks where the branch stands. What is not known of twice is stored as found.
    fn look(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        let present = self.present();
        let handled = self.head.as_ref().map(|head| head.object.clone());
        if present.map(|commit| commit.to_string()) == handled {
            self.differed = None;
            return;
        }
        let Some(after) = present else {
            self.head = None;
            return;
        };
        let now = self.second();
        match self.differed {
            Some((commit, since)) if commit == after && since < now => {}
            Some((commit, _)) if commit == after => return,
            Some(_) | None => {
                self.differed = Some((after, now));
                return;
            }
        }
        self.see("found");
        let from = self.head.as_ref().and_then(|head| head.by);
        let told = Told {
            guid: format!("found {from:?} {after}"),
            push: self.pushes.len() - 1,
            before: handled.map(|object| object.parse().expect("an object is a number here")),
            after: Some(after),
            at: now,
        };
        self.store(told);
    }

    /// Everything arrives, everything is handled, and the server looks until nothing is new.
    fn be_fair(&mut self) {
        while !self.post.is_empty() {
            self.arrive();
        }
        for _ in 0..6 {
            self.now += 2;
            while !self.open.is_empty() {
                self.handle(false);
            }
            self.look();
        }
        assert!(self.open.is_empty(), "what is found is found again");
    }

    fn check_the_end(&self) {
        for commit in 0..self.parents.len() {
            let of = |one: &&Option<Commit>| **one == Some(commit);
            let pushes = self.pushes.iter().filter(of).count();
            let runs = self.runs.iter().filter(|run| run.commit == commit).count();
            assert!(runs <= pushes, "{runs} runs of {pushes} pushes of {commit}");
        }
        let Some(present) = self.present() else {
            return;
        };
        let left = self.runs.iter().filter(|run| !run.is_superseded);
        let left: Vec<_> = left.map(|run| run.commit).collect();
        assert_eq!(left, [present], "{self:#?}");
    }
}
