//! The demo: a real server, runner, Docker and Kubernetes around a stand-in GitHub, and two pushes.
//!
//! It is the test world made to last: processes are detached and found again by pid files, so that
//! a person can look around and stop it later.

mod checkout;
mod follow;
mod installation;
mod pictures;
mod place;
mod rolling;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;
use crate::github::{GitHub, GitHubOptions, Visibility};

pub use place::Place;

/// The sample repository's name at the stand-in.
const REPOSITORY: &str = "acme/shop";
const STAGING: &str = "shop-staging";
const PRODUCTION: &str = "shop-production";

/// Starts everything and shows two pushes on their way to production.
pub async fn up(place: &Place, pictures: Option<&Path>) -> Result<()> {
    let began = Instant::now();
    let outcome = tokio::select! {
        outcome = show(place, pictures) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let seconds = began.elapsed().as_secs();
    match &outcome {
        Ok(()) => println!("\nThe whole demo took {seconds} s. Stop it with: make demo-down"),
        Err(_) => eprintln!(
            "\nThe demo did not come to its end. Its logs are in {}; stop it with: make demo-down",
            place.dir().display()
        ),
    }
    outcome
}

async fn show(place: &Place, pictures: Option<&Path>) -> Result<()> {
    let installation = installation::start(place).await?;
    installation.greet();
    let checkout = checkout::Checkout::new(place, &installation.github_url).await?;

    println!("\n1. A first commit, by `git push`\n");
    let first = checkout.push_first().await?;
    follow::follow(&installation.api, REPOSITORY, &first).await?;

    println!("\n2. A second one, while users of the service go on\n");
    let watch = rolling::Watch::start(&installation.cluster).await?;
    let second = checkout.push_version("shop 2").await?;
    let run = follow::follow(&installation.api, REPOSITORY, &second).await?;
    watch.report(&installation.api).await?;

    if let Some(dir) = pictures {
        pictures::take(place, dir).await?;
    }
    installation.farewell(&run).await
}

/// Takes pictures of a running demo's pages.
pub async fn screenshots(place: &Place, dir: &Path) -> Result<()> {
    pictures::take(place, dir).await
}

/// Stops what `up` started and deletes what it left.
pub async fn down(place: &Place) -> Result<()> {
    place.stop_all().await?;
    place.sweep_docker().await?;
    if let Ok(cluster) = Cluster::connect().await
        && cluster.ping().await.is_ok()
    {
        cluster.delete_namespace(STAGING).await?;
        cluster.delete_namespace(PRODUCTION).await?;
    }
    place.delete()
}

/// The stand-in GitHub until it is told to end; writes what others must know into its folder.
pub async fn serve_github(dir: PathBuf, webhook: &str, secret_file: &Path) -> Result<()> {
    let secret = std::fs::read_to_string(secret_file)
        .with_context(|| format!("cannot read {}", secret_file.display()))?;
    let webhook = Some((webhook.to_owned(), secret));
    let options = GitHubOptions {
        dir: dir.clone(),
        webhook,
        ..GitHubOptions::default()
    };
    let github = GitHub::start(options).await?;
    if github.repository(REPOSITORY).is_err() {
        github
            .create_repository(REPOSITORY, Visibility::Private)
            .await?;
    }
    std::fs::write(dir.join("app.pem"), github.private_key_pem())?;
    let addresses = serde_json::json!({
        "web": github.web_url(), "api": github.api_url(), "app_id": github.app_id(),
    });
    // Last, and at once: whoever waits for this file finds everything else.
    std::fs::write(dir.join("addresses.new"), addresses.to_string())?;
    std::fs::rename(dir.join("addresses.new"), dir.join(place::ADDRESSES))?;
    let mut term = signal(SignalKind::terminate())?;
    term.recv().await;
    github.stop().await
}
