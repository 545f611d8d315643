use super::*;

fn job(id: i64, trust: Trust, environment: Option<&str>) -> QueuedJob {
    QueuedJob {
        id: JobId(id),
        kind: match environment {
            Some(_) => JobKind::Deploy,
            None => JobKind::Steps,
        },
        trust,
        environment: environment.map(|name| name.parse().unwrap()),
        environment_busy: false,
        locked: None,
        group_busy: None,
    }
}

fn busy(job: QueuedJob) -> QueuedJob {
    QueuedJob {
        environment_busy: true,
        ..job
    }
}

fn runner(environments: &[&str]) -> RunnerOffer {
    let names = environments.iter().map(|name| name.parse().unwrap());
    RunnerOffer {
        environments: names.collect(),
    }
}

/// The jobs the table below asks about, each with its name.
fn jobs() -> [(&'static str, QueuedJob); 6] {
    use Trust::{Fork, Trusted};
    [
        ("steps", job(1, Trusted, None)),
        ("fork's steps", job(2, Fork, None)),
        ("deploy to staging", job(3, Trusted, Some("staging"))),
        (
            "deploy to busy staging",
            busy(job(4, Trusted, Some("staging"))),
        ),
        ("fork's deploy", job(5, Fork, Some("staging"))),
        ("deploy to production", job(6, Trusted, Some("production"))),
    ]
}

#[test]
fn each_job_goes_to_the_runners_that_may_have_it() {
    let runners = [
        ("plain", runner(&[])),
        ("staging", runner(&["staging"])),
        ("both", runner(&["production", "staging"])),
    ];
    let row = |(name, job): (&str, QueuedJob)| {
        let may = |(name, runner): &(&'static str, RunnerOffer)| {
            pick(std::slice::from_ref(&job), runner).map(|_| *name)
        };
        let names: Vec<_> = runners.iter().filter_map(may).collect();
        format!("{name}: {}", names.join(", "))
    };
    insta::assert_snapshot!(jobs().map(row).join("\n"), @r"
    steps: plain, staging, both
    fork's steps: plain
    deploy to staging: staging, both
    deploy to busy staging: 
    fork's deploy: 
    deploy to production: both
    ");
}

#[test]
fn the_oldest_job_the_runner_may_have_comes_first() {
    let queue = jobs().map(|(_, job)| job);
    assert_eq!(pick(&queue, &runner(&[])).map(|job| job.id), Some(JobId(1)));
    assert_eq!(
        pick(&queue[1..], &runner(&["staging"])).map(|job| job.id),
        Some(JobId(3))
    );
    assert_eq!(pick(&queue[3..], &runner(&["staging"])), None);
    assert_eq!(pick(&[], &runner(&["staging"])), None);
}

#[test]
fn a_waiting_job_says_what_it_waits_for() {
    let offers = [
        ("no runner", vec![]),
        ("plain", vec![runner(&[])]),
        ("staging", vec![runner(&["staging"])]),
        ("plain and staging", vec![runner(&[]), runner(&["staging"])]),
    ];
    let tables = offers.map(|(name, runners)| {
        let row = |(job_name, job): (&str, QueuedJob)| {
            format!("  {job_name}: {}", why_waiting(&job, &runners))
        };
        format!("{name}\n{}", jobs().map(row).join("\n"))
    });
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn a_job_waits_for_an_older_run_of_its_group() {
    let waiting = QueuedJob {
        group_busy: Some(RunNumber(12)),
        ..job(1, Trust::Trusted, None)
    };
    assert_eq!(pick(std::slice::from_ref(&waiting), &runner(&[])), None);
    assert_eq!(
        why_waiting(&waiting, &[runner(&[])]),
        "waits for run #12 of the same concurrency group"
    );
}

#[test]
fn a_locked_environment_takes_no_deploy_and_says_who_locked_it() {
    let locked = QueuedJob {
        locked: Some("staging is locked by ada: a leak".into()),
        ..job(1, Trust::Trusted, Some("staging"))
    };
    let runners = [runner(&["staging"])];
    assert_eq!(pick(std::slice::from_ref(&locked), &runners[0]), None);
    assert_eq!(
        why_waiting(&locked, &runners),
        "staging is locked by ada: a leak"
    );
}
