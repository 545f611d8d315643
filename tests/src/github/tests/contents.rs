//! Files, folders and the git database, as the API tells them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

const ODD: &str = "feature/odd";

/// The shop, with all kinds of entries on a branch.
async fn odd_shop(stage: &Stage) -> String {
    let (repo, first) = stage.shop().await;
    let modules = "[submodule \"v\"]\n\tpath = vendor\n\turl = https://example.com/v\n";
    let change = Change::on(ODD)
        .parent(&first)
        .file("Dockerfile", "FROM other\n")
        .file("big", vec![b'x'; (1 << 20) + 1])
        .symlink("link", "Dockerfile")
        .symlink("dangling", "/etc/passwd")
        .submodule("vendor", &first)
        .file(".gitmodules", modules);
    repo.push(change).await.unwrap();
    first
}

fn at(path: &str, name: &str) -> String {
    format!("/repos/acme/shop/contents/{path}?ref={name}")
}

#[tokio::test]
async fn contents_are_those_of_the_commit() {
    let stage = Stage::new().await;
    let first = odd_shop(&stage).await;
    let api = stage.installed();
    for (path, name, text) in [
        ("Dockerfile", first.as_str(), "FROM scratch\n"),
        ("Dockerfile", ODD, "FROM other\n"),
        ("link", ODD, "FROM other\n"),
    ] {
        let (_, file) = api.get(&at(path, name)).await;
        assert_eq!(file["type"], "file");
        let content = file["content"].as_str().unwrap().replace('\n', "");
        assert_eq!(BASE64_STANDARD.decode(content).unwrap(), text.as_bytes());
    }
    for missing in [
        at("nope", "main"),
        at("big", "nope"),
        at("Dockerfile", "main~0"),
    ] {
        assert_eq!(api.status(&missing).await, 404, "{missing}");
    }
}

#[tokio::test]
async fn odd_entries_are_told_with_githubs_oddities() {
    let stage = Stage::new().await;
    odd_shop(&stage).await;
    let api = stage.installed();
    let (_, dangling) = api.get(&at("dangling", ODD)).await;
    assert_eq!(dangling["type"], "symlink");
    assert_eq!(dangling["target"], "/etc/passwd");
    let (_, module) = api.get(&at("vendor", ODD)).await;
    assert_eq!(module["type"], "submodule");
    assert_eq!(module["submodule_git_url"], "https://example.com/v");
    let (_, big) = api.get(&at("big", ODD)).await;
    assert_eq!(big["encoding"], "none", "above a megabyte");
    assert_eq!(big["content"], "");
    let raw = api.request(Method::GET, &at("big", ODD));
    let raw = raw
        .header("accept", "application/vnd.github.raw+json")
        .send()
        .await
        .unwrap();
    assert_eq!(raw.bytes().await.unwrap().len(), (1 << 20) + 1);

    let (_, listing) = api.get(&at("", ODD)).await;
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let told = |entry: &Value| word(entry, "name") + ":" + &word(entry, "type");
    let told: Vec<_> = listing.as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        told.join(" "),
        ".gitmodules:file .seaworthy:dir Dockerfile:file big:file dangling:symlink link:symlink \
         vendor:file"
    );
}

#[tokio::test]
async fn the_git_database_is_told() {
    let stage = Stage::new().await;
    let (repo, first) = stage.shop().await;
    let second = repo
        .push(
            Change::on("main")
                .message("Move")
                .remove("Dockerfile")
                .file("Containerfile", "FROM scratch\n"),
        )
        .await
        .unwrap()
        .sha;
    repo.tag("v1", &first).await.unwrap();
    let api = stage.installed();
    let get = async |path: &str| api.get(&format!("/repos/acme/shop{path}")).await.1;

    let tree = get(&format!("/git/trees/{first}?recursive=1")).await;
    let paths: Vec<_> = tree["tree"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, [".seaworthy", ".seaworthy/shop.yml", "Dockerfile"]);
    let blob = get(&format!(
        "/git/blobs/{}",
        tree["tree"][1]["sha"].as_str().unwrap()
    ))
    .await;
    assert_eq!(
        (&blob["size"], &blob["encoding"]),
        (&json!(9), &json!("base64"))
    );
    let commit = get("/commits/main").await;
    assert_eq!(
        (&commit["sha"], &commit["commit"]["message"]),
        (&json!(second), &json!("Move"))
    );
    assert_eq!(commit["files"][0]["status"], "renamed");
    assert_eq!(commit["files"][0]["previous_filename"], "Dockerfile");
    let compared = get("/compare/v1...main").await;
    assert_eq!(
        (&compared["status"], &compared["ahead_by"]),
        (&json!("ahead"), &json!(1))
    );
    assert_eq!(compared["merge_base_commit"]["sha"], json!(first));
    assert_eq!(get("/branches/main").await["commit"]["sha"], json!(second));
    assert_eq!(
        get("/git/ref/heads/main").await["object"]["sha"],
        json!(second)
    );
    assert_eq!(
        get("/git/matching-refs/tags/").await[0]["ref"],
        "refs/tags/v1"
    );
    assert_eq!(get("/tags").await[0]["commit"]["sha"], json!(first));
    assert_eq!(
        get("/commits?per_page=1").await.as_array().unwrap().len(),
        1
    );
    assert_eq!(get("").await["default_branch"], "main");
    assert_eq!(api.status("/repos/acme/shop/git/ref/heads/none").await, 404);
    assert_eq!(api.status("/repos/acme/shop/commits/none").await, 422);
    assert_eq!(api.status("/nonsense").await, 404);
    assert_eq!(
        api.call(Method::DELETE, "/repos/acme/shop", Value::Null)
            .await
            .0,
        404
    );
}
