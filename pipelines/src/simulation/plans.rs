//! Plans at random: no cycles, any order, all kinds of work.

use std::collections::BTreeMap;

use super::random::Random;
use crate::event::Trust;
use crate::names::JobName;
use crate::plan::{
    BuildWork, Condition, DeployWork, OnFailure, Plan, PlannedJob, ReleaseSource, Retry, RetryOn,
    StepsWork, Strategy, Verify, Work,
};
use crate::schedule::RunnerOffer;

pub(super) const ENVIRONMENTS: [&str; 2] = ["staging", "production"];

pub(super) fn runner(environments: &[&str]) -> RunnerOffer {
    let names = environments.iter().map(|name| name.parse().unwrap());
    RunnerOffer {
        environments: names.collect(),
    }
}

pub(super) fn plan(random: &mut Random, trust: Trust) -> Plan {
    let count = 1 + random.below(8);
    let mut jobs: Vec<PlannedJob> = Vec::new();
    for number in 0..count {
        let name: JobName = format!("j{number}").parse().unwrap();
        let earlier = jobs.iter().map(|job| job.name.clone());
        let needs = earlier.filter(|_| random.chance(30)).collect();
        let work = work(random);
        // As the planner does it: a fork's deploys and builds are left out.
        let is_refused = trust == Trust::Fork && !matches!(work, Work::Steps(_));
        let skip = (is_refused || random.chance(6)).then(|| "does not apply".to_owned());
        jobs.push(PlannedJob {
            group: name.clone(),
            name,
            matrix: BTreeMap::new(),
            needs,
            condition: match random.below(10) {
                0 => Condition::Failure,
                1 => Condition::Always,
                _ => Condition::Success,
            },
            skip,
            timeout_seconds: 60,
            retry: Retry {
                attempts: random.below(3) as u32,
                on: match random.below(4) {
                    0 => vec![RetryOn::Timeout],
                    1 => vec![RetryOn::Exit(75), RetryOn::Exit(71)],
                    2 => vec![RetryOn::Failure],
                    _ => Vec::new(),
                },
            },
            work,
        });
    }
    random.shuffle(&mut jobs);
    Plan {
        pipeline: "default".parse().unwrap(),
        concurrency: None,
        templates: Vec::new(),
        jobs,
    }
}

fn work(random: &mut Random) -> Work {
    match random.below(10) {
        0..5 => Work::Steps(StepsWork::default()),
        5..7 => Work::Build(BuildWork {
            image: "shop".parse().unwrap(),
            context: ".".into(),
            dockerfile: "Dockerfile".into(),
            target: None,
            platforms: Vec::new(),
            args: BTreeMap::new(),
            secrets: Vec::new(),
            tags: Vec::new(),
        }),
        _ => Work::Deploy(DeployWork {
            environment: ENVIRONMENTS[random.below(2) as usize].parse().unwrap(),
            namespace: "shop".parse().unwrap(),
            source: ReleaseSource::Manifests {
                path: "deploy".into(),
                images: BTreeMap::new(),
                before: Vec::new(),
            },
            strategy: Strategy::Rolling,
            verify: Verify {
                bake_seconds: 10,
                deadline_seconds: 60,
                http: None,
            },
            on_failure: OnFailure::Rollback,
        }),
    }
}
