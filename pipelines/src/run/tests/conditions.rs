//! Jobs that want failures, jobs behind those, and newer runs.

use super::*;

/// `a; b: a` with the condition of the last job.
fn watched(jobs: &str, condition: Condition) -> Run {
    let mut run = run(jobs);
    run.jobs.last_mut().unwrap().condition = condition;
    run.apply(RunEvent::Begin).unwrap();
    run
}

#[test]
fn a_job_that_watches_for_a_failure_sees_all_that_is_behind_it() {
    let mut story = Vec::new();
    for outcome in [
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::InfrastructureError,
        Outcome::Passed,
    ] {
        let mut run = watched("a; b: a; tell: b", Condition::Failure);
        work(&mut run, "a", outcome);
        if outcome == Outcome::Passed {
            work(&mut run, "b", outcome);
        }
        story.push(show(&run));
    }
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn a_job_that_always_runs_waits_for_the_end_of_all_it_needs() {
    let mut run = watched("a; b; tell: a b", Condition::Always);
    work(&mut run, "a", Outcome::Failed);
    let waiting = show(&run);
    work(&mut run, "b", Outcome::Passed);
    let ready = show(&run);
    work(&mut run, "tell", Outcome::Passed);
    insta::assert_snapshot!([waiting, ready, show(&run)].join("\n"));
}

#[test]
fn a_newer_run_ends_all_but_a_deploy_that_is_rolling() {
    let mut run = run("a; staging: a; b: a; production: staging");
    for job in [1, 3] {
        run.jobs[job].kind = JobKind::Deploy;
    }
    run.apply(RunEvent::Begin).unwrap();
    work(&mut run, "a", Outcome::Passed);
    claim(&mut run, "staging");
    claim(&mut run, "b");
    let reason = "superseded by run #8".into();
    run.apply(RunEvent::Supersede { reason }).unwrap();
    let superseded = show(&run);
    finish(&mut run, "b", Outcome::Cancelled);
    finish(&mut run, "staging", Outcome::Passed);
    insta::assert_snapshot!([superseded, show(&run)].join("\n"));
}

/// A run in which the first job has ended like this, and `tell` has passed all the same.
fn told(jobs: &str, outcome: Outcome) -> Run {
    let mut run = run(jobs);
    run.jobs[1].condition = Condition::Always;
    run.apply(RunEvent::Begin).unwrap();
    claim(&mut run, "a");
    if outcome == Outcome::Cancelled {
        run.apply(RunEvent::Job(
            name("a"),
            JobEvent::Stop {
                outcome,
                reason: "cancelled by ada".into(),
            },
        ))
        .unwrap();
    }
    finish(&mut run, "a", outcome);
    work(&mut run, "tell", Outcome::Passed);
    run
}

#[test]
fn a_job_that_always_runs_lets_no_failure_through_to_what_comes_after_it() {
    let ends = [
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::InfrastructureError,
        Outcome::Cancelled,
        Outcome::Passed,
    ];
    let story = ends.map(|outcome| show(&told("a; tell: a; deploy: tell; after: deploy", outcome)));
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn what_did_not_apply_is_no_harm_behind_a_job_that_always_runs() {
    let mut run = run("a; tell: a; deploy: tell");
    run.jobs[1].condition = Condition::Always;
    run.jobs[0].status = Status::Finished {
        outcome: Outcome::Skipped,
    };
    run.apply(RunEvent::Begin).unwrap();
    work(&mut run, "tell", Outcome::Passed);
    insta::assert_snapshot!(show(&run), @"a skipped, tell passed, deploy queued = running");
}

#[test]
fn a_failure_far_behind_is_seen_before_the_needs_have_ended() {
    let mut run = run("a; tell: a; deploy: tell");
    run.jobs[1].condition = Condition::Always;
    run.apply(RunEvent::Begin).unwrap();
    work(&mut run, "a", Outcome::Failed);
    insta::assert_snapshot!(show(&run), @"a failed, tell queued, deploy skipped (comes after `a`, which failed) = running");
}

#[test]
fn a_rollout_that_waits_to_be_taken_over_is_not_superseded() {
    let mut run = run("staging; next: staging; first");
    for job in [0, 2] {
        run.jobs[job].kind = JobKind::Deploy;
    }
    run.apply(RunEvent::Begin).unwrap();
    claim(&mut run, "staging");
    let lose = JobEvent::Lose {
        lease: lease(&run, "staging"),
        reason: "not heard from".into(),
    };
    run.apply(RunEvent::Job(name("staging"), lose)).unwrap();
    let reason = "superseded by run #8".into();
    run.apply(RunEvent::Supersede { reason }).unwrap();
    insta::assert_snapshot!(show(&run), @"staging queued (not heard from), next superseded (superseded by run #8), first superseded (superseded by run #8) = running");
}

#[test]
fn what_is_behind_a_skipped_job_is_waited_for() {
    let conditions = [Condition::Success, Condition::Failure, Condition::Always];
    let story = conditions.map(|condition| {
        let mut run = run("slow; bad; both: slow bad; tell: both; last: tell");
        run.jobs[3].condition = Condition::Always;
        run.jobs[4].condition = condition;
        run.apply(RunEvent::Begin).unwrap();
        work(&mut run, "bad", Outcome::Failed);
        let early = show(&run);
        work(&mut run, "slow", Outcome::Failed);
        work(&mut run, "tell", Outcome::Passed);
        format!("{early}\n{}", show(&run))
    });
    insta::assert_snapshot!(story.join("\n\n"));
}
