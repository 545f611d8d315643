//! The JSON of every message, as other versions of the programs know it. A change here is a change
//! of the protocol.

use super::*;
use crate::plan::{Condition, OnFailure, ReleaseSource, Step, Strategy, Verify};

#[track_caller]
fn json<T>(message: &T) -> String
where
    T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let text = serde_json::to_string(message).unwrap();
    assert_eq!(
        serde_json::from_str::<T>(&text).unwrap(),
        *message,
        "{text}"
    );
    text
}

fn proof() -> LeaseProof {
    LeaseProof {
        attempt: Attempt(2),
        fence: Fence(41),
    }
}

fn ulid() -> Ulid {
    Ulid::from_parts(1_764_000_000_123, 7)
}

fn at() -> Timestamp {
    Timestamp(1_764_000_000_123)
}

fn facts() -> RunFacts {
    RunFacts {
        repository: "acme/shop".parse().unwrap(),
        number: RunNumber(7),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        tag: None,
        pull_request: None,
        event: EventKind::Push,
        author: "ada".into(),
        url: "https://ci.acme.dev/acme/shop/runs/7".into(),
    }
}

fn assignment(work: AssignedWork) -> Assignment {
    Assignment {
        job: JobId(3),
        lease: proof(),
        name: "test".parse().unwrap(),
        run: facts(),
        timeout_seconds: 3600,
        log_offset: 128,
        is_repeated_if_lost: false,
        work,
    }
}

fn map<V>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, V> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[test]
fn a_runner_registers() {
    insta::assert_snapshot!(json(&Register {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        instance: ulid(),
        labels: vec!["linux".parse().unwrap()],
        environments: vec!["staging".parse().unwrap()],
        slots: 2,
        engine: "docker 26.1.5".into(),
    }), @r#"{"protocol":1,"version":"0.1.0","instance":"01KAV9FT3V0000000000000007","labels":["linux"],"environments":["staging"],"slots":2,"engine":"docker 26.1.5"}"#);
    insta::assert_snapshot!(json(&Registered {
        runner: RunnerId(1),
        name: "cellar".into(),
        lease_ms: 30_000,
        heartbeat_ms: 10_000,
        jobs: vec![LeasedJob { job: JobId(3), lease: proof() }],
    }), @r#"{"runner":1,"name":"cellar","lease_ms":30000,"heartbeat_ms":10000,"jobs":[{"job":3,"attempt":2,"fence":41}]}"#);
}

#[test]
fn a_runner_claims_and_says_that_it_lives() {
    insta::assert_snapshot!(json(&Claim {
        instance: ulid(),
        key: ulid(),
        wait_seconds: 25,
    }), @r#"{"instance":"01KAV9FT3V0000000000000007","key":"01KAV9FT3V0000000000000007","wait_seconds":25}"#);
    insta::assert_snapshot!(json(&Heartbeat {
        lease: proof(),
        instance: ulid(),
        wait_seconds: 10,
    }), @r#"{"lease":{"attempt":2,"fence":41},"instance":"01KAV9FT3V0000000000000007","wait_seconds":10}"#);
    insta::assert_snapshot!(json(&HeartbeatReply { stop: None }), @r#"{"stop":null}"#);
    insta::assert_snapshot!(json(&HeartbeatReply { stop: Some("cancelled by ada".into()) }), @r#"{"stop":"cancelled by ada"}"#);
    insta::assert_snapshot!(json(&LogAck { offset: 4096 }), @r#"{"offset":4096}"#);
}

#[test]
fn steps_are_assigned() {
    let work = AssignedWork::Steps(StepsWork {
        steps: vec![Step {
            name: "unit tests".into(),
            image: "rust:1.95".into(),
            run: "cargo test --locked".into(),
            env: map([("CARGO_TERM_COLOR", "always".into())]),
            secrets: Vec::new(),
            timeout_seconds: Some(600),
            condition: Condition::Success,
            skip: None,
        }],
        ..StepsWork::default()
    });
    insta::assert_snapshot!(json(&assignment(work)), @r#"{"job":3,"lease":{"attempt":2,"fence":41},"name":"test","run":{"repository":"acme/shop","number":7,"commit":"0123456789abcdef0123456789abcdef01234567","branch":"main","tag":null,"pull_request":null,"event":"push","author":"ada","url":"https://ci.acme.dev/acme/shop/runs/7"},"timeout_seconds":3600,"log_offset":128,"is_repeated_if_lost":false,"work":{"steps":{"steps":[{"name":"unit tests","image":"rust:1.95","run":"cargo test --locked","env":{"CARGO_TERM_COLOR":"always"},"timeout_seconds":600}]}}}"#);
}

#[test]
fn a_build_is_assigned() {
    let work = AssignedWork::Build(BuildWork {
        image: "registry.acme.dev/shop".parse().unwrap(),
        context: ".".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        platforms: Vec::new(),
        args: map([("VERSION", "1".into())]),
        secrets: Vec::new(),
        tags: vec!["latest".into()],
    });
    insta::assert_snapshot!(json(&assignment(work)), @r#"{"job":3,"lease":{"attempt":2,"fence":41},"name":"test","run":{"repository":"acme/shop","number":7,"commit":"0123456789abcdef0123456789abcdef01234567","branch":"main","tag":null,"pull_request":null,"event":"push","author":"ada","url":"https://ci.acme.dev/acme/shop/runs/7"},"timeout_seconds":3600,"log_offset":128,"is_repeated_if_lost":false,"work":{"build":{"image":"registry.acme.dev/shop","context":".","dockerfile":"Dockerfile","target":null,"args":{"VERSION":"1"},"tags":["latest"]}}}"#);
}

fn deploy(source: ReleaseSource, bundle: Option<Bundle>) -> AssignedWork {
    let pinned = PinnedImage {
        repository: "registry.acme.dev/shop".parse().unwrap(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
    };
    AssignedWork::Deploy(Box::new(AssignedDeploy {
        number: DeployNumber(5),
        release: ReleaseNumber(4),
        work: DeployWork {
            environment: "staging".parse().unwrap(),
            namespace: "shop-staging".parse().unwrap(),
            source,
            strategy: Strategy::Rolling,
            verify: Verify {
                bake_seconds: 10,
                deadline_seconds: 600,
                http: None,
            },
            on_failure: OnFailure::Rollback,
        },
        images: map([("shop", pinned)]),
        bundle,
        fallback: None,
    }))
}

#[test]
fn a_deploy_is_assigned() {
    let manifests = ReleaseSource::Manifests {
        path: "deploy/".into(),
        images: map([("shop", "image".parse().unwrap())]),
        before: Vec::new(),
    };
    insta::assert_snapshot!(json(&assignment(deploy(manifests, None))), @r#"{"job":3,"lease":{"attempt":2,"fence":41},"name":"test","run":{"repository":"acme/shop","number":7,"commit":"0123456789abcdef0123456789abcdef01234567","branch":"main","tag":null,"pull_request":null,"event":"push","author":"ada","url":"https://ci.acme.dev/acme/shop/runs/7"},"timeout_seconds":3600,"log_offset":128,"is_repeated_if_lost":false,"work":{"deploy":{"number":5,"release":4,"work":{"environment":"staging","namespace":"shop-staging","source":{"manifests":{"path":"deploy/","images":{"shop":"image"}}},"strategy":"rolling","verify":{"bake_seconds":10,"deadline_seconds":600}},"images":{"shop":{"repository":"registry.acme.dev/shop","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},"bundle":null}}}"#);
    let promote = ReleaseSource::Promote {
        environment: "staging".parse().unwrap(),
        job: "staging".parse().unwrap(),
    };
    let bundle = Bundle {
        objects: vec![serde_json::json!({ "kind": "Deployment" })],
    };
    insta::assert_snapshot!(json(&assignment(deploy(promote, Some(bundle)))), @r#"{"job":3,"lease":{"attempt":2,"fence":41},"name":"test","run":{"repository":"acme/shop","number":7,"commit":"0123456789abcdef0123456789abcdef01234567","branch":"main","tag":null,"pull_request":null,"event":"push","author":"ada","url":"https://ci.acme.dev/acme/shop/runs/7"},"timeout_seconds":3600,"log_offset":128,"is_repeated_if_lost":false,"work":{"deploy":{"number":5,"release":4,"work":{"environment":"staging","namespace":"shop-staging","source":{"promote":{"environment":"staging","job":"staging"}},"strategy":"rolling","verify":{"bake_seconds":10,"deadline_seconds":600}},"images":{"shop":{"repository":"registry.acme.dev/shop","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},"bundle":{"objects":[{"kind":"Deployment"}]}}}}"#);
}

#[test]
fn a_runner_reports() {
    let call = |report| {
        json(&ReportCall {
            lease: proof(),
            report,
        })
    };
    insta::assert_snapshot!(call(Report::StepStarted {
        step: 0,
        name: "unit tests".into(),
        at: at(),
    }), @r#"{"lease":{"attempt":2,"fence":41},"report":{"step_started":{"step":0,"name":"unit tests","at":"2025-11-24T16:00:00.123Z"}}}"#);
    insta::assert_snapshot!(call(Report::StepFinished {
        step: 0,
        outcome: Outcome::Failed,
        exit_code: Some(101),
        at: at(),
    }), @r#"{"lease":{"attempt":2,"fence":41},"report":{"step_finished":{"step":0,"outcome":"failed","exit_code":101,"at":"2025-11-24T16:00:00.123Z"}}}"#);
    insta::assert_snapshot!(call(Report::Bundle(Bundle {
        objects: vec![serde_json::json!({ "kind": "Service" })],
    })), @r#"{"lease":{"attempt":2,"fence":41},"report":{"bundle":{"objects":[{"kind":"Service"}]}}}"#);
    insta::assert_snapshot!(call(Report::Lost { reason: "restarted".into() }), @r#"{"lease":{"attempt":2,"fence":41},"report":{"lost":{"reason":"restarted"}}}"#);
    insta::assert_snapshot!(call(Report::Finished {
        outcome: Outcome::InfrastructureError,
        reason: Some("the registry refuses".into()),
        exit_code: None,
        outputs: map([("digest", "sha256:00".to_owned())]),
    }), @r#"{"lease":{"attempt":2,"fence":41},"report":{"finished":{"outcome":"infrastructure_error","reason":"the registry refuses","outputs":{"digest":"sha256:00"}}}}"#);
}

#[test]
fn a_rollout_is_reported() {
    use crate::deploy::{Cause, ClusterEvent, Phase, Pod, PodState, Workload};
    let progress = DeployProgress {
        phase: Phase::Rolling,
        verdict: "1 of 2 replicas is available".into(),
        deadline: Some(at()),
        workloads: vec![Workload {
            kind: "Deployment".into(),
            name: "shop".into(),
            wanted: 2,
            updated: 2,
            ready: 1,
            available: 1,
            old: 0,
        }],
        pods: vec![Pod {
            name: "shop-7d".into(),
            workload: "shop".into(),
            new: true,
            state: PodState::NotReady,
            reason: Some("CrashLoopBackOff".into()),
            node: None,
            restarts: 3,
            image: None,
            created_at: at(),
            log: vec!["boom".into()],
        }],
        causes: vec![Cause {
            title: "container shop exits with code 3".into(),
            meaning: "the program ends".into(),
            objects: vec!["shop-7d".into()],
            lines: vec!["boom".into()],
            since: at(),
        }],
        events: vec![ClusterEvent {
            at: at(),
            warning: true,
            object: "Pod/shop-7d".into(),
            reason: "BackOff".into(),
            message: "restarting".into(),
            count: 4,
        }],
        rollback: None,
    };
    let lease = proof();
    let report = Report::Deploy(Box::new(progress));
    insta::assert_snapshot!(json(&ReportCall { lease, report }), @r#"{"lease":{"attempt":2,"fence":41},"report":{"deploy":{"phase":"rolling","verdict":"1 of 2 replicas is available","deadline":"2025-11-24T16:00:00.123Z","workloads":[{"kind":"Deployment","name":"shop","wanted":2,"updated":2,"ready":1,"available":1,"old":0}],"pods":[{"name":"shop-7d","workload":"shop","new":true,"state":"not_ready","reason":"CrashLoopBackOff","node":null,"restarts":3,"image":null,"created_at":"2025-11-24T16:00:00.123Z","log":["boom"]}],"causes":[{"title":"container shop exits with code 3","meaning":"the program ends","objects":["shop-7d"],"lines":["boom"],"since":"2025-11-24T16:00:00.123Z"}],"events":[{"at":"2025-11-24T16:00:00.123Z","warning":true,"object":"Pod/shop-7d","reason":"BackOff","message":"restarting","count":4}]}}}"#);
}

#[test]
fn a_checkout_is_granted_and_its_token_is_never_shown() {
    let checkout = Checkout {
        url: "https://github.com/acme/shop".into(),
        token: Some("ghs_secret".into()),
    };
    insta::assert_snapshot!(json(&checkout), @r#"{"url":"https://github.com/acme/shop","token":"ghs_secret"}"#);
    assert!(!format!("{checkout:?}").contains("ghs_secret"));
}

#[test]
fn a_refusal_has_a_sentence_and_a_hint() {
    insta::assert_snapshot!(json(&WireError {
        error: "the lease for this job has been taken away".into(),
        hint: None,
    }), @r#"{"error":"the lease for this job has been taken away","hint":null}"#);
}

#[test]
fn a_message_with_an_invalid_name_is_refused_at_the_door() {
    let text = json(&assignment(deploy(
        ReleaseSource::Promote {
            environment: "staging".parse().unwrap(),
            job: "staging".parse().unwrap(),
        },
        None,
    )));
    for (good, bad) in [
        ("\"name\":\"test\"", "\"name\":\"../test\""),
        ("acme/shop", "acme"),
        ("shop-staging", "Kube"),
    ] {
        assert!(text.contains(good), "{text}");
        assert!(serde_json::from_str::<Assignment>(&text.replace(good, bad)).is_err());
    }
}
