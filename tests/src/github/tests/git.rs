//! The real git against it.

use super::*;

#[tokio::test]
async fn clone_and_push_work_and_the_push_is_told() {
    let stage = Stage::new().await;
    let (repo, first) = stage.shop().await;
    let url = repo.push_url("grace").unwrap();
    git_ok(stage.folder.path(), &["clone", "--quiet", &url, "work"]).await;
    let work = stage.folder.path().join("work");
    assert_eq!(
        std::fs::read_to_string(work.join("Dockerfile")).unwrap(),
        "FROM scratch\n"
    );

    std::fs::write(work.join("new.txt"), "new\n").unwrap();
    std::fs::remove_file(work.join("Dockerfile")).unwrap();
    git_ok(&work, &["add", "--all"]).await;
    git_ok(&work, &["commit", "--quiet", "-m", "Swap files"]).await;
    git_ok(&work, &["push", "--quiet", "origin", "main", "main:topic"]).await;
    let second = git_ok(&work, &["rev-parse", "HEAD"]).await;
    stage.github.settled().await;

    assert_eq!(repo.head("main").await.unwrap(), second);
    assert_eq!(stage.events(), ["push", "create", "push", "push", "create"]);
    let pushes = stage.github.deliveries_of("push");
    let push = pushes[1].payload();
    assert_eq!(push["ref"], "refs/heads/main");
    assert_eq!(
        (push["before"].as_str(), push["after"].as_str()),
        (Some(&*first), Some(&*second))
    );
    assert_eq!(push["created"], false);
    assert_eq!(push["forced"], false);
    assert_eq!(push["commits"][0]["added"], json!(["new.txt"]));
    assert_eq!(push["commits"][0]["removed"], json!(["Dockerfile"]));
    assert_eq!(push["head_commit"]["id"], json!(second));
    assert_eq!(push["pusher"]["name"], "grace");
    assert_eq!(push["sender"]["login"], "grace");
    assert_eq!(push["repository"]["full_name"], "acme/shop");
    assert_eq!(push["repository"]["id"], json!(repo.id()));
    assert!(push["installation"]["id"].is_u64());
    let branch = pushes[2].payload();
    assert_eq!(
        (&branch["created"], &branch["commits"]),
        (&json!(true), &json!([]))
    );
}

#[tokio::test]
async fn git_asks_for_the_right_credentials() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let public = stage
        .github
        .create_repository("acme/open", Visibility::Public)
        .await
        .unwrap();
    public.commit("main", "Open", &[("a", "a")]).await.unwrap();
    let token = stage.github.installation_token("acme").unwrap();
    let folder = stage.folder.path();
    let with = |url: String, user: &str| url.replacen("://", &format!("://{user}@"), 1);
    let private = repo.clone_url().unwrap();

    assert!(!git(folder, &["ls-remote", &private]).await.status.success());
    let wrong = with(private.clone(), "x-access-token:ghs_wrong");
    assert!(!git(folder, &["ls-remote", &wrong]).await.status.success());
    let right = with(private, &format!("x-access-token:{token}"));
    assert!(
        git_ok(folder, &["ls-remote", &right, "main"])
            .await
            .starts_with(&sha)
    );
    assert!(
        !git_ok(folder, &["ls-remote", &public.clone_url().unwrap()])
            .await
            .is_empty()
    );

    git_ok(folder, &["clone", "--quiet", &right, "work"]).await;
    let push = git(&folder.join("work"), &["push", "origin", "main:other"]).await;
    assert!(!push.status.success(), "the App has contents: read only");
    stage.github.expire_tokens();
    assert!(!git(folder, &["ls-remote", &right]).await.status.success());
}

#[tokio::test]
async fn shallow_fetch_of_any_commit_works() {
    let stage = Stage::new().await;
    let (repo, first) = stage.shop().await;
    repo.commit("main", "Another", &[("b", "b")]).await.unwrap();
    let (folder, url) = (stage.folder.path(), repo.push_url("ada").unwrap());
    git_ok(folder, &["init", "--quiet", "work"]).await;
    let work = folder.join("work");
    git_ok(&work, &["fetch", "--quiet", "--depth=1", &url, &first]).await;
    assert_eq!(git_ok(&work, &["rev-parse", "FETCH_HEAD"]).await, first);
}

#[tokio::test]
async fn pull_refs_cannot_be_pushed() {
    let stage = Stage::new().await;
    let (repo, _) = stage.shop().await;
    let folder = stage.folder.path();
    git_ok(
        folder,
        &["clone", "--quiet", &repo.push_url("ada").unwrap(), "work"],
    )
    .await;
    let push = git(
        &folder.join("work"),
        &["push", "origin", "main:refs/pull/1/head"],
    )
    .await;
    assert!(!push.status.success());
}

#[tokio::test]
async fn forced_deleted_and_many_refs_are_told_as_github_tells_them() {
    let stage = Stage::new().await;
    let (repo, first) = stage.shop().await;
    let second = repo.commit("main", "Second", &[("b", "b")]).await.unwrap();
    let forced = repo.force_push("main", &first).await.unwrap();
    assert_eq!(forced[0].payload()["forced"], true);
    assert_eq!(forced[0].payload()["before"], json!(second));

    let tag = repo.tag("v1", &first).await.unwrap();
    assert_eq!(
        tag.iter().map(|d| d.event.as_str()).collect::<Vec<_>>(),
        ["push", "create"]
    );
    assert_eq!(tag[0].payload()["ref"], "refs/tags/v1");
    assert_eq!(tag[1].payload()["ref_type"], "tag");

    repo.push_refs(&[("refs/heads/gone", Some(&first))])
        .await
        .unwrap();
    let gone = repo.delete_branch("gone").await.unwrap();
    assert_eq!(gone[0].payload()["deleted"], true);
    assert_eq!(gone[0].payload()["head_commit"], Value::Null);
    assert_eq!(gone[1].event, "delete");

    let some = Some(first.as_str());
    let many = ["a", "b", "c", "d"].map(|name| format!("refs/tags/{name}"));
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), some)).collect();
    assert!(
        repo.push_refs(&many).await.unwrap().is_empty(),
        "four tags at once: silence"
    );
    assert_eq!(
        repo.push_refs(&[("refs/tags/e", some)])
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_commit_clock_makes_the_same_shas_again() {
    let clock = Some("2026-01-05T09:00:00Z".parse().unwrap());
    let mut shas = Vec::new();
    for _ in 0..2 {
        let stage = Stage::with(GitHubOptions {
            commit_clock: clock,
            ..Default::default()
        })
        .await;
        let (repo, _) = stage.shop().await;
        shas.push(repo.commit("main", "Second", &[("b", "b")]).await.unwrap());
    }
    assert_eq!(shas[0], shas[1]);
}

#[tokio::test]
async fn it_starts_again_where_it_stopped() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let body = json!({ "name": "shop", "head_sha": sha });
    assert_eq!(
        stage
            .installed()
            .post("/repos/acme/shop/check-runs", body)
            .await
            .0,
        201
    );
    let token = stage.github.installation_token("acme").unwrap();
    let (pem, listen) = (stage.github.private_key_pem(), stage.github.address());
    stage.github.stop().await.unwrap();

    let dir = stage.folder.path().join("github");
    let again = GitHub::start(GitHubOptions {
        dir,
        listen,
        ..Default::default()
    })
    .await
    .unwrap();
    assert_eq!(again.private_key_pem(), pem);
    let shop = again.repository("acme/shop").unwrap();
    assert_eq!(
        (shop.id(), shop.head("main").await.unwrap()),
        (repo.id(), sha.clone())
    );
    assert_eq!(shop.check_runs(&sha).len(), 1);
    assert_eq!(stage.bearing(&token).status("/repos/acme/shop").await, 200);
    assert_eq!(again.deliveries().len(), 2);
}
