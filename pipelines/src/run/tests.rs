use super::*;
use crate::ids::{Attempt, Fence, RunnerId};
use crate::job::Lease;
use crate::plan::{Condition, JobKind, Retry, Step, StepsWork, Work};

mod conditions;

/// A run of steps jobs: `a; b: a; c: a b` are three, of which `b` needs `a`, and `c` both.
fn run(jobs: &str) -> Run {
    let job = |text: &str| {
        let (name, needs) = text.split_once(':').unwrap_or((text, ""));
        Job {
            name: name.trim().parse().unwrap(),
            kind: JobKind::Steps,
            needs: needs
                .split_whitespace()
                .map(|need| need.parse().unwrap())
                .collect(),
            condition: Condition::Success,
            status: Status::Waiting,
            attempt: 0,
            retries_left: 0,
            retry_on: Vec::new(),
            reason: None,
        }
    };
    Run {
        jobs: jobs.split(';').map(job).collect(),
    }
}

fn begun(jobs: &str) -> Run {
    let mut run = run(jobs);
    run.apply(RunEvent::Begin).unwrap();
    run
}

fn name(name: &str) -> JobName {
    name.parse().unwrap()
}

fn lease(run: &Run, job: &str) -> Lease {
    let attempt = run.job(&name(job)).unwrap().attempt;
    Lease {
        runner: RunnerId(1),
        attempt: Attempt(attempt),
        fence: Fence(i64::from(attempt)),
    }
}

fn claim(run: &mut Run, job: &str) -> Vec<Effect> {
    let mut lease = lease(run, job);
    lease.attempt.0 += 1;
    lease.fence.0 += 1;
    run.apply(RunEvent::Job(name(job), JobEvent::Claim(lease)))
        .unwrap()
}

fn finish(run: &mut Run, job: &str, outcome: Outcome) -> Vec<Effect> {
    let event = JobEvent::Finish {
        lease: lease(run, job),
        outcome,
        exit_code: None,
        reason: None,
    };
    run.apply(RunEvent::Job(name(job), event)).unwrap()
}

/// Claims and finishes.
fn work(run: &mut Run, job: &str, outcome: Outcome) -> Vec<Effect> {
    claim(run, job);
    finish(run, job, outcome)
}

fn stop(outcome: Outcome) -> RunEvent {
    let reason = "cancelled by ada".into();
    RunEvent::Stop { outcome, reason }
}

/// `a passed, b skipped (needs `a`, which failed) = failed`
fn show(run: &Run) -> String {
    let job = |job: &Job| {
        let reason = job.reason.as_ref().map(|reason| format!(" ({reason})"));
        format!(
            "{} {}{}",
            job.name,
            job.status.state(),
            reason.unwrap_or_default()
        )
    };
    let jobs: Vec<_> = run.jobs.iter().map(job).collect();
    format!("{} = {}", jobs.join(", "), run.state())
}

#[test]
fn jobs_become_ready_when_all_their_needs_have_passed() {
    let mut run = begun("c: a b; a; b: a; d");
    let mut story = vec![show(&run)];
    for job in ["a", "b", "d", "c"] {
        work(&mut run, job, Outcome::Passed);
        story.push(show(&run));
    }
    insta::assert_snapshot!(story.join("\n"), @r"
    c waiting, a queued, b waiting, d queued = queued
    c waiting, a passed, b queued, d queued = running
    c queued, a passed, b passed, d queued = running
    c queued, a passed, b passed, d passed = running
    c passed, a passed, b passed, d passed = passed
    ");
}

#[test]
fn an_end_that_is_no_success_skips_everything_behind_it() {
    let ends = [
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::InfrastructureError,
        Outcome::Superseded,
    ];
    let story = ends.map(|outcome| {
        let mut run = begun("d: c; c: b; b: a; a; other");
        work(&mut run, "a", outcome);
        work(&mut run, "other", Outcome::Passed);
        show(&run)
    });
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn a_job_the_plan_leaves_out_skips_what_needs_it() {
    let planned = |job: &str, needs: &[&str], skip: Option<&str>| PlannedJob {
        name: name(job),
        group: name(job),
        matrix: BTreeMap::new(),
        needs: needs.iter().map(|need| name(need)).collect(),
        condition: Condition::Success,
        skip: skip.map(Into::into),
        timeout_seconds: 60,
        retry: Retry {
            attempts: 3,
            on: Vec::new(),
        },
        work: Work::Steps(StepsWork {
            steps: vec![Step {
                name: "x".into(),
                image: "x".into(),
                run: "x".into(),
                env: BTreeMap::new(),
                secrets: Vec::new(),
                timeout_seconds: None,
                condition: Condition::Success,
                skip: None,
            }],
            ..StepsWork::default()
        }),
    };
    let mut run = Run::from_plan(&Plan {
        pipeline: "default".parse().unwrap(),
        concurrency: None,
        templates: Vec::new(),
        jobs: vec![
            planned("a", &[], Some("not today")),
            planned("b", &["a"], None),
            planned("c", &[], None),
        ],
    });
    assert_eq!(
        (run.jobs[1].retries_left, run.jobs[1].kind),
        (3, JobKind::Steps)
    );
    let before = show(&run);
    let effects = run.apply(RunEvent::Begin).unwrap();
    insta::assert_snapshot!(format!("{before}\n{}\n{effects:?}", show(&run)), @r#"
    a skipped (not today), b waiting, c waiting = waiting
    a skipped (not today), b skipped (needs `a`, which was skipped), c queued = queued
    [JobChanged(JobName("b")), JobChanged(JobName("c")), JobReady(JobName("c")), RunChanged(Queued)]
    "#);
    run.jobs.truncate(2);
    assert_eq!(run.state(), State::Skipped);
}

#[test]
fn the_state_of_a_run_is_the_worst_of_its_ends_and_else_how_far_it_is() {
    use State as S;
    let worst_first = [
        S::Failed,
        S::TimedOut,
        S::InfrastructureError,
        S::Cancelled,
        S::Superseded,
        S::Passed,
        S::Skipped,
    ];
    let outcome = |state: State| {
        let outcomes = [
            Outcome::Passed,
            Outcome::Failed,
            Outcome::Cancelled,
            Outcome::Skipped,
            Outcome::TimedOut,
            Outcome::InfrastructureError,
            Outcome::Superseded,
        ];
        outcomes
            .into_iter()
            .find(|outcome| outcome.state() == state)
            .unwrap()
    };
    for (rank, worse) in worst_first.into_iter().enumerate() {
        for better in &worst_first[rank..] {
            let mut run = run("a; b");
            run.jobs[0].status = Status::Finished {
                outcome: outcome(*better),
            };
            run.jobs[1].status = Status::Finished {
                outcome: outcome(worse),
            };
            assert_eq!(run.state(), worse, "{worse} beside {better}");
            run.jobs[0].status = Status::Waiting;
            assert_eq!(run.state(), S::Waiting, "{worse} beside a waiting job");
            run.jobs[0].status = Status::Queued;
            assert_eq!(run.state(), S::Queued, "{worse} beside a queued job");
            run.jobs[1].attempt = 1;
            assert_eq!(run.state(), S::Running, "{worse}, and it had begun");
        }
    }
}

#[test]
fn stopping_a_run_ends_what_does_not_run_and_asks_what_does() {
    let mut run = begun("a; b; c: a; d");
    claim(&mut run, "a");
    work(&mut run, "d", Outcome::Passed);
    let effects = run.apply(stop(Outcome::Cancelled)).unwrap();
    let mut story = vec![show(&run), format!("{effects:?}")];
    assert_eq!(
        run.apply(stop(Outcome::Cancelled)),
        Ok(vec![]),
        "a repeat is harmless"
    );
    finish(&mut run, "a", Outcome::Failed);
    story.push(show(&run));
    insta::assert_snapshot!(story.join("\n"), @r#"
    a running, b cancelled (cancelled by ada), c cancelled (cancelled by ada), d passed = running
    [JobChanged(JobName("a")), StopJob(JobName("a")), JobChanged(JobName("b")), JobChanged(JobName("c"))]
    a cancelled (cancelled by ada), b cancelled (cancelled by ada), c cancelled (cancelled by ada), d passed = cancelled
    "#);
    assert_eq!(
        run.apply(stop(Outcome::Cancelled)),
        Ok(vec![]),
        "an ended run stays as it is"
    );
}

#[test]
fn stopping_one_job_skips_what_needs_it_and_nothing_else() {
    let mut run = begun("a; b: a; c");
    let stop = JobEvent::Stop {
        outcome: Outcome::Superseded,
        reason: "run #8 deploys to the same environment".into(),
    };
    run.apply(RunEvent::Job(name("a"), stop)).unwrap();
    insta::assert_snapshot!(show(&run), @"a superseded (run #8 deploys to the same environment), b skipped (needs `a`, which was superseded), c queued = queued");
}

#[test]
fn a_retry_is_a_new_attempt_of_a_run_that_goes_on() {
    let mut run = begun("a; b: a");
    run.jobs[0].retries_left = 1;
    let effects = work(&mut run, "a", Outcome::InfrastructureError);
    insta::assert_snapshot!(format!("{}\n{effects:?}", show(&run)), @r#"
    a queued (infrastructure error), b waiting = running
    [JobChanged(JobName("a")), JobReady(JobName("a"))]
    "#);
    work(&mut run, "a", Outcome::Passed);
    assert_eq!(run.jobs[0].attempt, 2);
    assert_eq!(run.jobs[1].status, Status::Queued);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut run = begun("a; b: a");
    claim(&mut run, "a");
    let before = run.clone();
    let stale = Lease {
        fence: Fence(99),
        ..lease(&run, "a")
    };
    let refused = [
        (
            RunEvent::Job(name("nobody"), JobEvent::Ready),
            Refused::Illegal,
        ),
        (RunEvent::Job(name("b"), JobEvent::Ready), Refused::Illegal),
        (
            RunEvent::Job(name("b"), JobEvent::Claim(stale)),
            Refused::Illegal,
        ),
        (
            RunEvent::Job(name("a"), JobEvent::Skip(String::new())),
            Refused::Illegal,
        ),
        (
            RunEvent::Job(
                name("a"),
                JobEvent::Lose {
                    lease: stale,
                    reason: String::new(),
                },
            ),
            Refused::StaleLease,
        ),
        (stop(Outcome::Passed), Refused::Illegal),
    ];
    for (event, why) in refused {
        assert_eq!(run.apply(event.clone()), Err(why), "{event:?}");
        assert_eq!(run, before, "{event:?}");
    }
    assert_eq!(
        run.apply(RunEvent::Begin),
        Ok(vec![]),
        "a run that goes well needs no repair"
    );
}

#[test]
fn a_run_found_half_moved_is_repaired_by_beginning_again() {
    let mut run = begun("a; b: a; c: b");
    run.jobs[0].status = Status::Finished {
        outcome: Outcome::Failed,
    };
    run.apply(RunEvent::Begin).unwrap();
    insta::assert_snapshot!(show(&run), @"a failed, b skipped (needs `a`, which failed), c skipped (needs `b`, which was skipped) = failed");
}

#[test]
fn the_longest_chain_is_decided_at_once() {
    let mut jobs = vec!["j0".to_owned()];
    jobs.extend((1..500).map(|n| format!("j{n}: j{}", n - 1)));
    jobs.reverse();
    let mut run = begun(&jobs.join(";"));
    let start = std::time::Instant::now();
    work(&mut run, "j0", Outcome::Failed);
    assert_eq!(run.state(), State::Failed);
    assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
}
