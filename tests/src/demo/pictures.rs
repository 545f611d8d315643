//! Pictures of the demo's pages, for the README and for eyes that look for mistakes.

use std::path::Path;

use anyhow::Result;

use super::REPOSITORY;
use super::installation::Installation;
use crate::api::Run;
use crate::browser::{Browser, View};

const VIEWS: [(&str, View); 4] = [
    (
        "light",
        View {
            width: 1280,
            dark: false,
        },
    ),
    (
        "dark",
        View {
            width: 1280,
            dark: true,
        },
    ),
    (
        "light-narrow",
        View {
            width: 400,
            dark: false,
        },
    ),
    (
        "dark-narrow",
        View {
            width: 400,
            dark: true,
        },
    ),
];

/// Signs in with a link of its own and takes every page in every view.
pub(super) async fn take(installation: &Installation, run: &Run, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut browser = Browser::start().await?;
    browser.open(&installation.new_login().await?).await?;
    // The link itself signs nobody in: mail scanners follow links. A button does.
    browser.press("form button").await?;
    let repository = format!("/repos/{REPOSITORY}");
    let last_deploy = run.number * 2;
    let pages = [
        ("overview", "/".to_owned()),
        ("repository", repository.clone()),
        ("run", format!("{repository}/runs/{}", run.number)),
        ("job", format!("{repository}/runs/{}/jobs/test", run.number)),
        ("deploy", format!("{repository}/deploys/{last_deploy}")),
        ("environments", "/environments".to_owned()),
        (
            "environment",
            format!("{repository}/environments/production"),
        ),
        ("runners", "/runners".to_owned()),
    ];
    for (view_name, view) in VIEWS {
        browser.look(view).await?;
        for (name, path) in &pages {
            browser
                .open(&format!("{}{path}", installation.api.url))
                .await?;
            browser
                .picture(&dir.join(format!("{name}-{view_name}.png")))
                .await?;
        }
    }
    println!(
        "\n  {} pictures in {}",
        VIEWS.len() * pages.len(),
        dir.display()
    );
    Ok(())
}
