use super::*;

fn lease(attempt: u32, fence: i64) -> Lease {
    Lease {
        runner: RunnerId(1),
        attempt: Attempt(attempt),
        fence: Fence(fence),
    }
}

fn job(kind: JobKind, status: Status) -> Job {
    let attempt = match &status {
        Status::Waiting | Status::Queued => 0,
        Status::Running { .. } | Status::Finished { .. } => 1,
    };
    Job {
        name: "build".parse().unwrap(),
        kind,
        needs: Vec::new(),
        condition: Condition::Success,
        status,
        attempt,
        retries_left: 0,
        retry_on: Vec::new(),
        reason: None,
    }
}

fn running(kind: JobKind) -> Job {
    let lease = lease(1, 10);
    job(kind, Status::Running { lease, stop: None })
}

fn stopping(kind: JobKind) -> Job {
    let stop = Stop {
        outcome: Outcome::Cancelled,
        reason: "cancelled by ada".into(),
    };
    let (lease, stop) = (lease(1, 10), Some(stop));
    job(kind, Status::Running { lease, stop })
}

const OUTCOMES: [Outcome; 7] = [
    Outcome::Passed,
    Outcome::Failed,
    Outcome::Cancelled,
    Outcome::Skipped,
    Outcome::TimedOut,
    Outcome::InfrastructureError,
    Outcome::Superseded,
];

fn finish(lease: Lease, outcome: Outcome) -> JobEvent {
    JobEvent::Finish {
        lease,
        outcome,
        exit_code: None,
        reason: Some("by itself".into()),
    }
}

fn lose(lease: Lease) -> JobEvent {
    let reason = "not heard from".into();
    JobEvent::Lose { lease, reason }
}

fn stop(outcome: Outcome) -> JobEvent {
    let reason = "cancelled by ada".into();
    JobEvent::Stop { outcome, reason }
}

/// Every state a job can be in.
fn states() -> Vec<(String, Job)> {
    let steps = |status| job(JobKind::Steps, status);
    let mut states = vec![
        ("waiting".into(), steps(Status::Waiting)),
        ("queued".into(), steps(Status::Queued)),
        ("running".into(), running(JobKind::Steps)),
        ("stopping".into(), stopping(JobKind::Steps)),
    ];
    states.extend(OUTCOMES.map(|outcome| {
        let job = steps(Status::Finished { outcome });
        (outcome.state().to_string(), job)
    }));
    states
}

/// Every kind of event, by the holder of the lease and by a stranger.
fn events() -> Vec<(&'static str, JobEvent)> {
    vec![
        ("ready", JobEvent::Ready),
        ("skip", JobEvent::Skip("no need".into())),
        ("claim first attempt", JobEvent::Claim(lease(1, 10))),
        ("claim second attempt", JobEvent::Claim(lease(2, 11))),
        ("finish passed", finish(lease(1, 10), Outcome::Passed)),
        ("finish failed", finish(lease(1, 10), Outcome::Failed)),
        (
            "finish with stale fence",
            finish(lease(1, 9), Outcome::Passed),
        ),
        (
            "finish of another attempt",
            finish(lease(2, 10), Outcome::Passed),
        ),
        ("lose", lose(lease(1, 10))),
        ("lose with stale fence", lose(lease(1, 9))),
        ("stop", stop(Outcome::Cancelled)),
        ("supersede", stop(Outcome::Superseded)),
        ("stop as passed", stop(Outcome::Passed)),
    ]
}

fn show(job: &Job, result: Result<Changed, Refused>) -> String {
    let state = match &job.status {
        Status::Running { stop: Some(_), .. } => "stopping".into(),
        other => other.state().to_string(),
    };
    match result {
        Ok(Changed::Yes) => match &job.reason {
            Some(reason) => format!("{state} ({reason})"),
            None => state,
        },
        Ok(Changed::No) => "unchanged".into(),
        Err(Refused::StaleLease) => "stale".into(),
        Err(Refused::Illegal) => "illegal".into(),
    }
}

#[test]
fn every_event_in_every_state_has_an_answer() {
    let row = |(name, job): (String, Job)| {
        let cell = |(event_name, event): (&str, JobEvent)| {
            let mut moved = job.clone();
            let result = moved.apply(event.clone());
            if result != Ok(Changed::Yes) {
                assert_eq!(moved, job, "refused or unchanged, but moved");
            } else {
                // Whatever an event did, the same once more does nothing.
                let once = moved.clone();
                let again = moved.apply(event);
                assert_ne!(again, Ok(Changed::Yes), "{name}, {event_name}");
                assert_eq!(moved, once);
            }
            let result_shown = show(&moved, result);
            format!("  {event_name}: {result_shown}")
        };
        let cells: Vec<_> = events().into_iter().map(cell).collect();
        format!("{name}\n{}", cells.join("\n"))
    };
    let table: Vec<_> = states().into_iter().map(row).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn a_finished_job_never_changes() {
    for outcome in OUTCOMES {
        for (name, event) in events() {
            let mut job = job(JobKind::Deploy, Status::Finished { outcome });
            let before = job.clone();
            let _ = job.apply(event);
            assert_eq!(job, before, "{name} after {outcome:?}");
        }
    }
}

#[test]
fn what_a_runner_reports_counts_unless_it_cannot_be() {
    let row = |outcome: Outcome| {
        let cells = [
            running(JobKind::Steps),
            stopping(JobKind::Steps),
            running(JobKind::Deploy),
            stopping(JobKind::Deploy),
        ];
        let cells = cells.map(|mut job| {
            let result = job.apply(finish(lease(1, 10), outcome));
            show(&job, result)
        });
        format!("{}: {}", outcome.state(), cells.join(" | "))
    };
    insta::assert_snapshot!(OUTCOMES.map(row).join("\n"));
}

/// F15
#[test]
fn only_infrastructure_failures_are_retried_and_only_as_often_as_allowed() {
    let mut job = job(JobKind::Steps, Status::Queued);
    job.retries_left = 2;
    type Mishap = fn(Lease) -> JobEvent;
    let events: [(&str, Mishap); 3] = [
        ("an engine fails", |lease| {
            finish(lease, Outcome::InfrastructureError)
        }),
        ("a runner is lost", lose),
        ("an engine fails again", |lease| {
            finish(lease, Outcome::InfrastructureError)
        }),
    ];
    let mut story = Vec::new();
    for (attempt, (what, event)) in (1..).zip(events) {
        let lease = lease(attempt, i64::from(attempt) * 10);
        assert_eq!(job.apply(JobEvent::Claim(lease)), Ok(Changed::Yes));
        let result = job.apply(event(lease));
        story.push(format!(
            "{what}: {}, {} left",
            show(&job, result),
            job.retries_left
        ));
    }
    insta::assert_snapshot!(story.join("\n"), @r"
    an engine fails: queued (by itself), 1 left
    a runner is lost: queued (not heard from), 0 left
    an engine fails again: infrastructure_error (by itself), 0 left
    ");
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut job = running(JobKind::Steps);
        job.retries_left = 2;
        assert_eq!(job.apply(finish(lease(1, 10), outcome)), Ok(Changed::Yes));
        assert_eq!(job.status, Status::Finished { outcome });
    }
}

/// F15
#[test]
fn a_deploy_is_taken_over_from_lost_runners_a_bounded_number_of_times() {
    let mut job = job(JobKind::Deploy, Status::Queued);
    let mut takeovers = 0;
    for attempt in 1..=100 {
        let lease = lease(attempt, i64::from(attempt));
        assert_eq!(job.apply(JobEvent::Claim(lease)), Ok(Changed::Yes));
        assert_eq!(job.apply(lose(lease)), Ok(Changed::Yes));
        if job.status.state().is_final() {
            break;
        }
        takeovers += 1;
    }
    assert_eq!(takeovers, DEPLOY_TAKEOVERS_MAX);
    assert_eq!(job.status.state(), State::InfrastructureError);
    assert_eq!(job.attempt, DEPLOY_TAKEOVERS_MAX + 1);
}

#[test]
fn a_lost_runner_that_was_asked_to_stop_has_stopped() {
    for kind in [JobKind::Steps, JobKind::Build, JobKind::Deploy] {
        let mut job = stopping(kind);
        job.retries_left = 3;
        assert_eq!(job.apply(lose(lease(1, 10))), Ok(Changed::Yes));
        assert_eq!(
            job.status,
            Status::Finished {
                outcome: Outcome::Cancelled
            }
        );
        assert_eq!(job.reason.as_deref(), Some("cancelled by ada"));
    }
}

#[test]
fn a_job_is_claimed_with_the_next_attempt_and_no_other() {
    for (attempt, wanted) in [(0, false), (1, true), (2, false), (u32::MAX, false)] {
        let mut job = job(JobKind::Steps, Status::Queued);
        let claimed = job.apply(JobEvent::Claim(lease(attempt, 1))).is_ok();
        assert_eq!(claimed, wanted, "attempt {attempt}");
    }
    // Another runner cannot take what is running, but the same claim may be repeated.
    let mut job = running(JobKind::Steps);
    let other = Lease {
        runner: RunnerId(2),
        ..lease(1, 10)
    };
    assert_eq!(job.apply(JobEvent::Claim(other)), Err(Refused::Illegal));
    assert_eq!(job.apply(JobEvent::Claim(lease(1, 10))), Ok(Changed::No));
}

#[test]
fn every_state_has_one_word_and_is_read_back_by_it() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert_eq!("green".parse::<State>(), Err(UnknownState("green".into())));
    let finals: Vec<_> = State::ALL
        .into_iter()
        .filter(|state| state.is_final())
        .collect();
    assert_eq!(finals, OUTCOMES.map(Outcome::state).to_vec());
}
