//! Engines that are missing: the job says so and what to do, and nothing else suffers.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::http::{StatusCode, header};
use tests::require;
use tests::runners::RunnerOptions;
use tests::shop::Shop;
use tests::world::World;
use tokio::net::TcpListener;

use crate::files::{FILE, steps};

#[tokio::test]
async fn without_a_docker_engine_the_job_says_what_to_do() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let nowhere = RunnerOptions::env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let _runner = world.runner_with("r1", &[], nowhere).await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, &steps(&["echo never"])?)])
        .await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "infrastructure_error", "{}", run.summary());
    let reason = run.job("work")?.why().to_owned();
    assert!(reason.to_lowercase().contains("docker"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn without_a_cluster_the_deploy_says_what_to_do_and_the_image_is_kept() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let nowhere = RunnerOptions::env("KUBECONFIG", "/nowhere/kubeconfig");
    let _runner = shop
        .world
        .runner_with("r1", &["staging", "production"], nowhere)
        .await?;
    let sha = shop.push("Open the shop").await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    assert_eq!(run.state, "infrastructure_error", "{}", run.summary());
    let staging = run.job("staging")?;
    assert_eq!(staging.state, "infrastructure_error");
    assert!(
        staging.why().to_lowercase().contains("kubeconfig"),
        "{}",
        staging.why()
    );
    assert_eq!(run.job("image")?.state, "passed");
    assert_eq!(run.job("production")?.state, "skipped");
    Ok(())
}

/// F30
#[tokio::test]
async fn without_a_login_to_the_registry_the_build_says_what_to_do() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let closed = closed_registry().await?;
    let sample = shop
        .sample
        .clone()
        .replacing(&shop.image, &format!("{closed}/acme/shop"));
    let sha = shop
        .repository
        .push(sample.commit("main", "Open the shop"))
        .await?
        .sha;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    let image = run.job("image")?;
    assert_eq!(image.state, "infrastructure_error", "{}", run.summary());
    let reason = image.why();
    assert!(reason.contains(&closed.to_string()), "{reason}");
    assert!(
        reason.contains("login") || reason.contains("credentials"),
        "{reason}"
    );
    assert_eq!(run.job("test")?.state, "passed");
    Ok(())
}

/// A registry that lets nobody in.
async fn closed_registry() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    let headers = [
        (header::WWW_AUTHENTICATE, "Basic realm=\"closed\""),
        (header::CONTENT_TYPE, "application/json"),
        (
            header::HeaderName::from_static("docker-distribution-api-version"),
            "registry/2.0",
        ),
    ];
    let refuse = move || {
        let headers = headers.clone();
        async move { (StatusCode::UNAUTHORIZED, headers, body) }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    Ok(address)
}
