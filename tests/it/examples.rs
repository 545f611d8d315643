//! Every example of a pipeline file, run to its end by `seaworthy exec` on the real engine.
//!
//! The images that the examples name are not here, and neither is the code they build: one image
//! stands for all of them, in which every tool does nothing and says that it was called.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tests::docker::Docker;
use tests::engines::busybox;
use tests::laptop::Laptop;
use tests::require;

/// Tools of the examples' images.
const TOOLS: &str = "cargo curl go gotestsum mvn npm npx pg_dump pg_isready pip pytest rustup";

/// Makes every tool in a container: each says that it was called, and does no more.
fn stand_in() -> String {
    format!(
        r#"for tool in {TOOLS}; do
             printf '#!/bin/sh\necho called %s "$@"\n' $tool > /bin/$tool
             chmod 755 /bin/$tool
           done
           mkdir -p /opt/kafka/bin
           cp /bin/pip /opt/kafka/bin/kafka-topics.sh
           printf 'mkdir -p target/release\ntouch target/release/shop\n' >> /bin/cargo"#
    )
}

/// As a service the image runs for ever.
const SERVICE: &str = "while :; do sleep 1; done";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/examples")
}

fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let name = entry?.file_name().into_string();
        let name = name.map_err(|name| anyhow::anyhow!("{} is no text", name.display()))?;
        if name.ends_with(".yml") && name != "environments.yml" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A Deployment with a container for each image that the examples build.
fn manifest(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: example-{image} }}\n\
         spec:\n  selector: {{ matchLabels: {{ app: {image} }} }}\n  template:\n\
         \x20   metadata: {{ labels: {{ app: {image} }} }}\n\
         \x20   spec: {{ containers: [{{ name: app, image: {image} }}] }}\n"
    )
}

/// What the repositories of the examples have, as far as their pipelines name it.
async fn tree(example: &str) -> Result<Laptop> {
    let text = std::fs::read_to_string(folder().join(example))?;
    let shared = std::fs::read_to_string(folder().join("shared/rust.yml"))?;
    let deployed = ["web", "orders", "gateway", "shop"]
        .into_iter()
        .find(|image| text.contains(&format!("images: {{ {image}: ")));
    let app = manifest(deployed.unwrap_or("shop"));
    let (shop, web) = (manifest("shop"), manifest("web"));
    let dockerfile = "FROM BUSYBOX AS release\nRUN echo built > /built\n";
    let environments =
        "staging: { namespace: default }\nproduction: { namespace: default, after: staging }\n";
    let migrate = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: example-migrate }\nspec: { template: { spec: { restartPolicy: Never, containers: [{ name: app, image: shop }] } } }\n";
    let file = format!(".seaworthy/{example}");
    let mut files = vec![
        (file.as_str(), text.as_str()),
        (".seaworthy/environments.yml", environments),
        ("copies/acme/pipelines@v3/rust.yml", shared.as_str()),
        ("Dockerfile", dockerfile),
        ("shop/Dockerfile", dockerfile),
        ("web/Dockerfile", dockerfile),
        ("shop/deploy/app.yaml", shop.as_str()),
        ("web/deploy/app.yaml", web.as_str()),
        ("k8s/app.yaml", app.as_str()),
        ("Cargo.lock", "1"),
        ("go.sum", "1"),
        ("package-lock.json", "1"),
        ("requirements.txt", "1"),
    ];
    match example {
        "canary.yml" => files.extend([
            ("deploy/app.yaml", app.as_str()),
            ("jobs/migrate.yaml", migrate),
        ]),
        "go-service.yml" => files.push(("deploy/gateway.yaml", app.as_str())),
        _ => files.push(("deploy/app.yaml", app.as_str())),
    }
    Laptop::with(&files).await
}

#[tokio::test]
async fn each_example_runs_to_its_end() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let docker = Docker::connect()?;
    let image = "seaworthy-examples/stand-in";
    docker
        .make_image(image, &busybox()?, (&stand_in(), SERVICE))
        .await?;
    let mut ends = Vec::new();
    for example in names()? {
        let laptop = tree(&example).await?;
        let swap = format!("*={image}");
        let args = [
            "exec",
            "--image",
            &swap,
            "--templates",
            "copies",
            "--slots",
            "2",
        ];
        let done = laptop.run(&args).await?;
        let last = done.story().lines().last().map(str::to_owned);
        let last = last.with_context(|| format!("{example} said nothing: {}", done.err))?;
        if done.code != Some(0) {
            eprintln!("{example}:\n{}{}", done.out, done.err);
        }
        ends.push(format!("{example}: {last}"));
        let left = docker.objects_of(&laptop.repository).await?;
        assert_eq!(left, Vec::<String>::new(), "{example} left something");
    }
    docker.remove_image(image).await?;
    insta::assert_snapshot!(ends.join("\n"));
    Ok(())
}
