//! Secrets and platforms of builds.

use bollard::query_parameters::RemoveImageOptions;
use futures_util::TryStreamExt as _;

use super::*;

const VALUE: &str = "build-secret-that-stays-out";

fn secret() -> StepSecret {
    StepSecret {
        name: "npm_token".parse().unwrap(),
        value: VALUE.into(),
    }
}

#[tokio::test]
async fn a_build_can_mount_its_secret_and_keeps_nothing_of_it() {
    let reversed: String = VALUE.chars().rev().collect();
    let dockerfile = format!(
        "FROM localbase/busybox:1\nARG WORD\n\
         RUN --mount=type=secret,id=npm_token \
         test \"$(rev /run/secrets/npm_token)\" = {reversed} && echo it is there $WORD\n\
         RUN test ! -s /run/secrets/npm_token && echo it is gone\n"
    );
    let Some(mut world) = world(&dockerfile).await else {
        return;
    };
    world.secrets.push(secret());
    let word = Ulid::generate().to_string();
    world.work.args.insert("WORD".into(), word.clone().into());
    let (built, lines) = world.build().await;
    assert_eq!(built, Ok(Built::Tagged), "{lines:?}");
    let said = (Voice::Out, format!("it is there {word}"));
    assert!(lines.contains(&said), "{lines:?}");
    let docker = world.engine.docker();
    let name = format!("{}:{}", world.work.image, world.tag);
    let saved: Vec<_> = docker.export_image(&name).try_collect().await.unwrap();
    let saved = saved.concat();
    let history = docker.image_history(&name).await.unwrap();
    let none = None::<RemoveImageOptions>;
    docker.remove_image(&name, none, None).await.unwrap();
    let found = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    // The layers are not compressed there: what they hold would be found.
    assert!(found(&saved, "busybox") && found(&saved, &word));
    assert!(!found(&saved, VALUE));
    assert!(!format!("{history:?} {lines:?}").contains(VALUE));
}

#[tokio::test]
async fn a_build_goes_on_without_a_secret_that_is_withheld_unless_it_requires_it() {
    for (required, expected) in [("", true), (",required=true", false)] {
        let dockerfile = format!(
            "FROM localbase/busybox:1\nARG WORD\n\
             RUN --mount=type=secret,id=other_token{required} \
             test ! -e /run/secrets/other_token && echo $WORD\n"
        );
        let Some(mut world) = world(&dockerfile).await else {
            return;
        };
        world.secrets.push(secret());
        let word = Ulid::generate().to_string();
        world.work.args.insert("WORD".into(), word.into());
        let (built, lines) = world.build().await;
        assert_eq!(built == Ok(Built::Tagged), expected, "{built:?} {lines:?}");
        if expected {
            let name = format!("{}:{}", world.work.image, world.tag);
            let none = None::<RemoveImageOptions>;
            let docker = world.engine.docker();
            docker.remove_image(&name, none, None).await.unwrap();
        } else {
            assert!(matches!(built, Ok(Built::Failed { .. })), "{built:?}");
        }
    }
}

#[tokio::test]
async fn a_platform_that_this_machine_cannot_run_is_named() {
    let foreign = if cfg!(target_arch = "aarch64") {
        "linux/amd64"
    } else {
        "linux/arm64"
    };
    // A shell of this machine in an image of another: what a base image of that platform would do
    // here, the other way round.
    let dockerfile = "FROM scratch\nCOPY sh /bin/sh\nRUN echo never\n";
    let Some(world) = world(dockerfile).await else {
        return;
    };
    std::fs::write(world.checkout.path().join("sh"), b"\x7fELF no program").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.checkout.path().join("sh"), mode).unwrap();
    let (built, lines) = world.build_for(Some(foreign), &world.tag).await;
    let Ok(Built::Failed { reason, .. }) = built else {
        panic!("{built:?} {lines:?}");
    };
    let expected = format!("this runner's engine cannot run programs for {foreign}");
    assert!(reason.contains(&expected), "{reason} {lines:?}");
}

#[tokio::test]
async fn several_platforms_are_one_image_known_by_its_index() {
    let Some(mut world) = world("FROM scratch\nARG WORD\nCOPY kept /kept\n").await else {
        return;
    };
    world.work.platforms = vec!["linux/amd64".into(), "linux/arm64".into()];
    for target in targets(&world.work, &world.tag) {
        let (built, lines) = world.build_for(target.platform, &target.tag).await;
        assert_eq!(built, Ok(Built::Tagged), "{lines:?}");
    }
    let (log, mut local) = JobLog::local();
    let reader = tokio::spawn(async move { while local.next().await.is_some() {} });
    let step = log.step(2);
    let pusher = Pusher {
        engine: &world.engine,
        repository: &world.work.image,
        log: &step,
    };
    // A second installation is refused, and harmless: another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let finish = push_all(&pusher, &world.work, &world.tag).await.unwrap();
    for target in targets(&world.work, &world.tag) {
        pusher.forget(&target.tag).await;
    }
    drop((step, log));
    reader.await.unwrap();
    let path = world.work.image.as_str().split_once('/').unwrap().1;
    let digest = &finish.outputs[OUTPUT_DIGEST];
    for tag in ["latest", &world.tag] {
        assert_eq!(&registry_digest(path, tag).await, digest);
    }
    let index = document(path, "manifests", digest).await;
    let mut architectures = Vec::new();
    for manifest in index["manifests"].as_array().unwrap() {
        let part = document(path, "manifests", manifest["digest"].as_str().unwrap()).await;
        let config = document(path, "blobs", part["config"]["digest"].as_str().unwrap()).await;
        // What the index says is what the image itself says.
        assert_eq!(manifest["platform"]["architecture"], config["architecture"]);
        architectures.push(config["architecture"].as_str().unwrap().to_owned());
    }
    assert_eq!(architectures, ["amd64", "arm64"]);
}

/// A document of a registry, asked without the engine.
async fn document(path: &str, kind: &str, digest: &str) -> serde_json::Value {
    let url = format!("http://{}/v2/{path}/{kind}/{digest}", registry());
    let request = reqwest::Client::new().get(url).header("accept", ACCEPT);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}
