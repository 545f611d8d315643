//! Builds with secrets and for several platforms, from the server's order to the registry.

use std::collections::BTreeMap;

use pipelines::plan::OUTPUT_IMAGE;
use pipelines::wire::Secrets;
use ulid::Ulid;

use super::*;
use crate::engine::contract_tests::{connect_docker, registry};

const VALUE: &str = "build-token-of-the-shop";

/// A runner on the real engine, for a repository with this Dockerfile.
async fn world(dockerfile: &str) -> Option<World> {
    let _engine = connect_docker().await?;
    let mut world = World::new().await;
    world.forge = Forge::start(&[("Dockerfile", dockerfile)]).await;
    world.server = StandIn::start(world.forge.checkout()).await;
    world.engine = EngineChoice::Docker;
    Some(world)
}

fn build() -> BuildWork {
    let name = Ulid::generate().to_string().to_lowercase();
    BuildWork {
        image: format!("{}/tests/{name}", registry()).parse().unwrap(),
        context: ".".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        platforms: vec![],
        args: BTreeMap::from([("WORD".into(), name.into())]),
        secrets: vec!["npm_token".parse().unwrap()],
        tags: vec!["latest".into()],
    }
}

#[tokio::test]
async fn a_secret_that_a_build_prints_is_hidden_in_its_log() {
    let dockerfile = "FROM localbase/busybox:1\nARG WORD\n\
        RUN --mount=type=secret,id=npm_token echo $WORD; cat /run/secrets/npm_token; exit 7\n";
    let Some(mut world) = world(dockerfile).await else {
        return;
    };
    world.server.give_secrets(Ok(Secrets {
        values: [("npm_token".parse().unwrap(), VALUE.to_owned())].into(),
        ..Secrets::default()
    }));
    let (outcome, _) = world.play(1, AssignedWork::Build(build())).await;
    let log = texts(&world.server.log_at_end(1));
    assert_eq!(outcome, Outcome::Failed, "{log:?}");
    assert_eq!(
        story(&world.server.reports(1)).pop().unwrap(),
        "end failed 7"
    );
    assert!(log.contains(&"***".to_owned()), "{log:?}");
    assert!(!log.concat().contains(VALUE), "{log:?}");
    world.end().await;
}

#[tokio::test]
async fn a_job_for_several_platforms_makes_one_image_known_by_its_index() {
    let dockerfile = "FROM scratch\nARG WORD\nLABEL word=$WORD\nCOPY Dockerfile /\n";
    let Some(mut world) = world(dockerfile).await else {
        return;
    };
    let mut work = build();
    work.secrets.clear();
    work.platforms = vec!["linux/amd64".into(), "linux/arm64".into()];
    let image = work.image.to_string();
    let ended = world.play(1, AssignedWork::Build(work)).await;
    let log = texts(&world.server.log_at_end(1));
    assert_eq!(ended, (Outcome::Passed, None), "{log:?}");
    let Some(Report::Finished { outputs, .. }) = world.server.reports(1).pop() else {
        panic!("{log:?}");
    };
    let digest = &outputs[OUTPUT_DIGEST];
    assert_eq!(outputs[OUTPUT_IMAGE], format!("{image}@{digest}"));
    let expected = [
        format!("pushed {image}@{digest} for 2 platforms"),
        format!("tagged {image}:latest as {digest}"),
    ];
    assert_eq!(log[log.len() - 2..], expected);
    world.end().await;
}
