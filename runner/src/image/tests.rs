//! Builds and pushes on a real engine and a real registry, when they are there.

use std::path::Path;

use pipelines::log::{Voice, records};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::build::build;
use super::*;
use crate::engine::contract_tests::{connect_docker, key, registry};
use crate::engine::{Engine, StepEnd, StepSecret, StepSpec};
use crate::logs::JobLog;

mod whole;

struct World {
    engine: DockerEngine,
    checkout: tempfile::TempDir,
    work: BuildWork,
    secrets: Vec<StepSecret>,
    tag: String,
}

/// A repository with this Dockerfile and some files, or nothing without an engine.
async fn world(dockerfile: &str) -> Option<World> {
    let engine = connect_docker().await?;
    let checkout = tempfile::tempdir().unwrap();
    std::fs::write(checkout.path().join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(checkout.path().join("kept"), "kept\n").unwrap();
    std::fs::write(checkout.path().join("secret"), "secret\n").unwrap();
    std::fs::write(checkout.path().join(".dockerignore"), "secret\n").unwrap();
    let name = Ulid::generate().to_string().to_lowercase();
    let work = BuildWork {
        image: format!("{}/tests/{name}", registry()).parse().unwrap(),
        context: ".".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        platforms: vec![],
        args: std::collections::BTreeMap::new(),
        secrets: vec![],
        tags: vec!["latest".into()],
    };
    Some(World {
        engine,
        checkout,
        work,
        secrets: Vec::new(),
        tag: push::attempt_tag(&key()),
    })
}

impl World {
    /// Builds; answers how it ended, and the log.
    async fn build(&self) -> (Result<Built, EngineError>, Vec<(Voice, String)>) {
        let platform = self.work.platforms.first().map(String::as_str);
        self.build_for(platform, &self.tag).await
    }

    async fn build_for(
        &self,
        platform: Option<&str>,
        tag: &str,
    ) -> (Result<Built, EngineError>, Vec<(Voice, String)>) {
        let context = Context::find(Path::new(self.checkout.path()), ".", "Dockerfile").unwrap();
        let (log, mut local) = JobLog::local();
        let step = log.step(1);
        drop(log);
        let name = format!("{}:{tag}", self.work.image);
        let run = async {
            let stop = CancellationToken::new();
            let order = Order {
                work: &self.work,
                platform,
                secrets: &self.secrets,
                name: &name,
            };
            let built = build(&self.engine, order, context, (&step, &stop)).await;
            drop(step);
            built
        };
        let read = async {
            let mut file = Vec::new();
            while let Some(record) = local.next().await {
                file.extend(record);
            }
            records(&file)
                .map(|record| {
                    (
                        record.voice,
                        String::from_utf8_lossy(record.text).into_owned(),
                    )
                })
                .collect()
        };
        tokio::join!(run, read)
    }
}

#[tokio::test]
async fn what_is_pushed_is_known_by_the_registrys_own_digest() {
    let dockerfile = "FROM localbase/busybox:1\nARG WORD\nCOPY . /app\n\
                      RUN echo \"said $WORD\" && test -f /app/kept && test ! -e /app/secret\n";
    let Some(mut world) = world(dockerfile).await else {
        return;
    };
    // A word of its own, so that the builder's cache of an earlier test does not answer.
    let word = Ulid::generate().to_string();
    world.work.args.insert("WORD".into(), word.clone().into());
    let (built, lines) = world.build().await;
    assert_eq!(built, Ok(Built::Tagged), "{lines:?}");
    let said = (Voice::Out, format!("said {word}"));
    assert!(lines.contains(&said), "{lines:?}");
    let told = |start: &str| {
        lines
            .iter()
            .any(|(voice, text)| *voice == Voice::Note && text.contains(start))
    };
    assert!(told("RUN echo") && told("DONE"), "{lines:?}");
    let (log, mut local) = JobLog::local();
    let reader = tokio::spawn(async move { while local.next().await.is_some() {} });
    let step = log.step(2);
    let pusher = Pusher {
        engine: &world.engine,
        repository: &world.work.image,
        log: &step,
    };
    let finish = push_all(&pusher, &world.work, &world.tag).await.unwrap();
    pusher.forget(&world.tag).await;
    drop((step, log));
    reader.await.unwrap();
    let digest = &finish.outputs[OUTPUT_DIGEST];
    assert_eq!(
        finish.outputs[OUTPUT_IMAGE],
        format!("{}@{digest}", world.work.image)
    );
    let repository = world.work.image.as_str();
    let path = repository.split_once('/').unwrap().1;
    for tag in ["latest", &world.tag] {
        assert_eq!(&registry_digest(path, tag).await, digest);
    }
}

const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// What the registry itself says, asked without the engine.
async fn registry_digest(path: &str, tag: &str) -> String {
    // A second installation is refused, and harmless: another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let url = format!("http://{}/v2/{path}/manifests/{tag}", registry());
    let request = reqwest::Client::new().head(url).header("accept", ACCEPT);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.headers()["docker-content-digest"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_failing_run_is_the_works_fault_and_has_its_exit_code() {
    let dockerfile = "FROM localbase/busybox:1\nRUN echo oops >&2; exit 3\n";
    let Some(world) = world(dockerfile).await else {
        return;
    };
    let (built, lines) = world.build().await;
    let Ok(Built::Failed { reason, exit_code }) = built else {
        panic!("{built:?}");
    };
    assert_eq!(exit_code, Some(3));
    let expected = "[2/2] RUN echo oops >&2; exit 3 ended with exit code 3";
    assert_eq!(reason, expected);
    assert!(lines.contains(&(Voice::Err, "oops".into())), "{lines:?}");
}

#[tokio::test]
async fn what_a_dockerfile_gets_wrong_is_told() {
    for (dockerfile, words) in [
        ("FROM localbase/busybox:1\nRAN x\n", "unknown instruction"),
        ("FROM localbase/busybox:1\nCOPY secret /\n", "not found"),
        (
            "FROM localbase/busybox:1 AS a\nFROM missing-stage-image-of-nobody.invalid/x:1\n",
            "",
        ),
    ] {
        let Some(world) = world(dockerfile).await else {
            return;
        };
        match world.build().await.0 {
            Ok(Built::Failed {
                reason,
                exit_code: None,
            }) => {
                assert!(!words.is_empty() && reason.contains(words), "{reason}");
            }
            Err(EngineError::Infrastructure(text)) => assert!(words.is_empty(), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_our_fault() {
    let Some(mut world) = world("FROM localbase/busybox:1\n").await else {
        return;
    };
    world.work.image = "127.0.0.1:1/tests/nowhere".parse().unwrap();
    assert_eq!(world.build().await.0, Ok(Built::Tagged));
    let (log, _local) = JobLog::local();
    let step = log.step(2);
    let pusher = Pusher {
        engine: &world.engine,
        repository: &world.work.image,
        log: &step,
    };
    let refused = push_all(&pusher, &world.work, &world.tag)
        .await
        .unwrap_err();
    pusher.forget(&world.tag).await;
    let EngineError::Infrastructure(text) = refused else {
        panic!("{refused}");
    };
    assert!(text.starts_with("cannot push to 127.0.0.1:1"), "{text}");
}

impl World {
    /// Runs one step in the image that was built, and removes all of it.
    async fn step(&self, script: &str) -> (Result<StepEnd, EngineError>, Vec<Vec<u8>>) {
        self.step_with(script, Vec::new()).await
    }

    async fn step_with(
        &self,
        script: &str,
        secrets: Vec<StepSecret>,
    ) -> (Result<StepEnd, EngineError>, Vec<Vec<u8>>) {
        let key = key();
        self.engine.prepare(&key).await.unwrap();
        let (log, mut local) = JobLog::local();
        let image = format!("{}:{}", self.work.image, self.tag);
        let step = StepSpec {
            step: 1,
            image: image.clone(),
            script: script.into(),
            env: std::collections::BTreeMap::new(),
            secrets,
        };
        let stop = CancellationToken::new();
        let end = self.engine.run(&key, &step, &log.step(1), &stop).await;
        drop(log);
        self.engine.remove(&key).await.unwrap();
        let none = None::<bollard::query_parameters::RemoveImageOptions>;
        let docker = self.engine.docker();
        docker.remove_image(&image, none, None).await.unwrap();
        let mut lines = Vec::new();
        while let Some(bytes) = local.next().await {
            lines.extend(records(&bytes).map(|record| record.text.to_vec()));
        }
        (end, lines)
    }
}

#[tokio::test]
async fn what_an_image_has_in_its_workspace_is_not_mixed_into_the_checkout() {
    let Some(world) = world("FROM localbase/busybox:1\nCOPY kept /workspace/kept\n").await else {
        return;
    };
    assert_eq!(world.build().await.0, Ok(Built::Tagged));
    let (end, lines) = world.step("ls -A; echo end").await;
    assert!(
        matches!(end, Ok(StepEnd::Exited { code: 0, .. })),
        "{end:?}"
    );
    assert_eq!(lines, [b"end"]);
}

/// F25
#[tokio::test]
async fn a_step_in_an_image_without_a_shell_says_so() {
    let Some(world) = world("FROM scratch\nCOPY kept /kept\n").await else {
        return;
    };
    assert_eq!(world.build().await.0, Ok(Built::Tagged));
    let Err(EngineError::Work(text)) = world.step("echo x").await.0 else {
        panic!("a step ran without a shell");
    };
    assert!(
        text.ends_with("has no /bin/sh: steps need an image with a shell"),
        "{text}"
    );
}

#[tokio::test]
async fn a_user_of_an_image_who_is_nobody_can_read_the_secrets_of_a_step() {
    let Some(world) = world("FROM localbase/busybox:1\nUSER 1234:1234\n").await else {
        return;
    };
    assert_eq!(world.build().await.0, Ok(Built::Tagged));
    let secret = StepSecret {
        name: "token".parse().unwrap(),
        value: "what nobody sees".into(),
    };
    let script = "id -u; stat -c '%a %u' /run/secrets/token; cat /run/secrets/token";
    let (end, lines) = world.step_with(script, vec![secret]).await;
    assert!(
        matches!(end, Ok(StepEnd::Exited { code: 0, .. })),
        "{end:?}"
    );
    assert_eq!(lines, [&b"1234"[..], b"400 1234", b"what nobody sees"]);
}
