//! Pictures of a running demo's pages, for the README and for eyes that look for mistakes.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Place, REPOSITORY, installation};
use crate::browser::{Browser, View};

/// What is added to a page's name, and how it is looked at.
const VIEWS: [(&str, View); 4] = [
    (
        "",
        View {
            width: 1280,
            dark: false,
        },
    ),
    (
        "-dark",
        View {
            width: 1280,
            dark: true,
        },
    ),
    (
        "-narrow",
        View {
            width: 400,
            dark: false,
        },
    ),
    (
        "-narrow-dark",
        View {
            width: 400,
            dark: true,
        },
    ),
];

/// Signs in with a link of its own and takes every page in every view.
pub(super) async fn take(place: &Place, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let api = installation::api_of_running(place)?;
    let runs = api.runs(REPOSITORY).await?;
    let run = runs
        .first()
        .context("there is no run to take a picture of")?
        .number;
    let mut deploy = 1;
    while api.deploy(REPOSITORY, deploy + 1).await.is_ok() {
        deploy += 1;
    }
    let repository = format!("/repos/{REPOSITORY}");
    let pages = [
        ("overview", "/".to_owned()),
        ("repository", repository.clone()),
        ("run", format!("{repository}/runs/{run}")),
        ("job", format!("{repository}/runs/{run}/jobs/test")),
        ("deploy", format!("{repository}/deploys/{deploy}")),
        ("environments", "/environments".to_owned()),
        (
            "environment",
            format!("{repository}/environments/production"),
        ),
        ("runners", "/runners".to_owned()),
        ("queue", "/queue".to_owned()),
    ];
    let mut browser = Browser::start().await?;
    browser
        .open(&installation::new_login(place, &api.url).await?)
        .await?;
    // The link itself signs nobody in: previews in chats open links. A button does.
    browser.press("form button").await?;
    for (suffix, view) in VIEWS {
        browser.look(view).await?;
        for (name, path) in &pages {
            browser.open(&format!("{}{path}", api.url)).await?;
            browser
                .picture(&dir.join(format!("{name}{suffix}.png")))
                .await?;
        }
    }
    browser.close().await?;
    println!(
        "\n  {} pictures in {}",
        VIEWS.len() * pages.len(),
        dir.display()
    );
    Ok(())
}
