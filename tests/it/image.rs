//! Images: built by BuildKit, pushed by digest, explained when they fail.

use anyhow::{Context, Result};
use tests::registry::Registry;
use tests::require;
use tests::shop::Shop;

/// The sample, up to its image: no environment is touched.
async fn shop_with(dockerfile_lines: &str) -> Result<Shop> {
    let mut shop = Shop::open().await?;
    let only_image = shop
        .sample
        .replacing("branch: main, event: push", "branch: nowhere");
    let old = "EXPOSE 8080\n";
    shop.sample = only_image.replacing(old, &format!("{dockerfile_lines}{old}"));
    Ok(shop)
}

#[tokio::test]
async fn a_built_image_is_in_the_registry_under_the_stored_digest() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = shop_with("").await?;
    let _runner = shop.runner("r1").await?;
    let sha = shop.push("Open the shop").await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    shop.must_pass(&run)?;
    let outputs = &run.job("image")?.outputs;
    let digest = outputs
        .get("digest")
        .context("the job has an output digest")?;
    assert_eq!(
        outputs.get("image"),
        Some(&format!("{}@{digest}", shop.image))
    );
    let registry = Registry::of_the_tests()?;
    assert_eq!(
        registry.digest(&shop.image, digest).await?.as_ref(),
        Some(digest)
    );
    // The tag is for people, and points at the same.
    assert_eq!(
        registry.digest(&shop.image, "latest").await?.as_ref(),
        Some(digest)
    );
    assert_eq!(run.job("staging")?.state, "skipped", "{}", run.summary());
    Ok(())
}

#[tokio::test]
async fn what_dockerignore_names_does_not_reach_the_build() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let mut shop =
        shop_with("COPY . /all\nRUN find /all -type f | sort | sed 's/^/seen /'\n").await?;
    let ignore = ".git\n.seaworthy\n*.secret\n!kept.secret\nlogs/**\n";
    shop.sample = shop
        .sample
        .with(".dockerignore", ignore)
        .with("a.secret", "no")
        .with("kept.secret", "yes")
        .with("logs/deep/down.txt", "no");
    let _runner = shop.runner("r1").await?;
    let sha = shop.push("Ignore some").await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    shop.must_pass(&run)?;
    let log = shop.world.api.log(&shop.name, run.number, "image").await?;
    for seen in ["seen /all/kept.secret", "seen /all/serve"] {
        assert!(log.contains(seen), "the build did not see `{seen}`:\n{log}");
    }
    for hidden in [
        "seen /all/a.secret",
        "seen /all/logs",
        "seen /all/.seaworthy",
        "seen /all/.git/",
    ] {
        assert!(!log.contains(hidden), "the build saw `{hidden}`:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_line_of_the_dockerfile_is_named_with_its_exit_code() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = shop_with("RUN echo about to fail && exit 9\n").await?;
    let _runner = shop.runner("r1").await?;
    let sha = shop.push("Break the build").await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    let reason = run.job("image")?.why();
    assert!(
        reason.contains("exit 9") || reason.contains("code 9"),
        "{reason}"
    );
    let log = shop.world.api.log(&shop.name, run.number, "image").await?;
    assert!(log.contains("about to fail"), "{log}");
    assert_eq!(run.job("staging")?.state, "skipped");
    Ok(())
}
