//! Pull requests.

use super::*;

#[tokio::test]
async fn a_pull_request_of_a_fork_lives_and_is_merged() {
    let stage = Stage::new().await;
    let (repo, base) = stage.shop().await;
    let fork = repo.fork("mallory/shop").await.unwrap();
    let mallory = Person::new("mallory");
    let change = || Change::on("evil").author(mallory.clone());
    fork.push(
        change()
            .parent(&base)
            .message("Be nice")
            .file("evil.sh", "id\n"),
    )
    .await
    .unwrap();
    assert_eq!(
        stage.events().len(),
        2,
        "the App is not installed in the fork"
    );

    let pull = repo
        .open_pull_request_from(&fork, "evil", "main", &mallory)
        .await
        .unwrap();
    let opened = pull.opened.clone().unwrap().payload();
    assert_eq!(
        (&opened["action"], &opened["number"]),
        (&json!("opened"), &json!(1))
    );
    let told = &opened["pull_request"];
    assert_eq!(told["head"]["repo"]["full_name"], "mallory/shop");
    assert_eq!(told["head"]["repo"]["id"], json!(fork.id()));
    assert_eq!(told["head"]["repo"]["fork"], true);
    assert_eq!(told["base"]["repo"]["id"], json!(repo.id()));
    assert_eq!(
        (&told["mergeable"], &told["changed_files"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(opened["repository"]["full_name"], "acme/shop");

    let second = fork
        .push(change().message("Be nicer").file("evil.sh", "ls\n"))
        .await
        .unwrap();
    let sync = second.deliveries[0].payload();
    assert_eq!(
        (&sync["action"], &sync["after"]),
        (&json!("synchronize"), &json!(second.sha))
    );
    let api = stage.installed();
    let (_, files) = api.get("/repos/acme/shop/pulls/1/files").await;
    assert_eq!(
        (&files[0]["filename"], &files[0]["status"]),
        (&json!("evil.sh"), &json!("added"))
    );
    let (_, tree) = api
        .get(&format!("/repos/acme/shop/git/trees/{}", second.sha))
        .await;
    assert_eq!(
        tree["tree"].as_array().unwrap().len(),
        3,
        "the fork's commit is in the base too"
    );
    let url = repo.push_url("ada").unwrap();
    let refs = git_ok(stage.folder.path(), &["ls-remote", &url, "refs/pull/1/*"]).await;
    assert!(refs.contains(&format!("{}\trefs/pull/1/head", second.sha)) && refs.contains("/merge"));

    let (merge, sent) = pull.merge().await.unwrap();
    let events: Vec<_> = sent.iter().map(|d| d.event.as_str()).collect();
    assert_eq!(events, ["push", "pull_request"]);
    assert_eq!(sent[0].payload()["after"], json!(merge));
    assert_eq!(sent[1].payload()["pull_request"]["merged"], true);
    let (_, shown) = api.get("/repos/acme/shop/pulls/1").await;
    assert_eq!(
        (&shown["state"], &shown["merge_commit_sha"]),
        (&json!("closed"), &json!(merge))
    );
    assert_eq!(api.get("/repos/acme/shop/pulls").await.1, json!([]));
}

#[tokio::test]
async fn a_pull_request_of_a_branch_follows_it() {
    let stage = Stage::new().await;
    let (repo, base) = stage.shop().await;
    repo.push(
        Change::on("topic")
            .parent(&base)
            .file("Dockerfile", "FROM a\n"),
    )
    .await
    .unwrap();
    let pull = repo.open_pull_request("topic", "main").await.unwrap();
    assert!(
        repo.open_pull_request("topic", "main").await.is_err(),
        "one is open already"
    );
    assert!(pull.merge_sha().unwrap().is_some());

    let pushed = repo
        .push(Change::on("topic").file("Dockerfile", "FROM b\n"))
        .await
        .unwrap();
    let events: Vec<_> = pushed.deliveries.iter().map(|d| d.event.as_str()).collect();
    assert_eq!(events, ["push", "pull_request"]);
    assert_eq!(pull.head_sha().unwrap(), pushed.sha);

    repo.commit("main", "Conflict", &[("Dockerfile", "FROM c\n")])
        .await
        .unwrap();
    assert_eq!(pull.merge_sha().unwrap(), None);
    assert!(pull.merge().await.is_err());
    let action = |sent: Vec<Delivery>| sent[0].action.clone().unwrap();
    assert_eq!(action(pull.retitle("Better").await.unwrap()), "edited");
    assert_eq!(action(pull.close().await.unwrap()), "closed");
    assert_eq!(action(pull.reopen().await.unwrap()), "reopened");
    let gone = repo.delete_branch("topic").await.unwrap();
    assert_eq!(gone.last().unwrap().action.as_deref(), Some("closed"));
    let (_, list) = stage
        .installed()
        .get("/repos/acme/shop/pulls?state=all&head=acme:topic")
        .await;
    assert_eq!(
        (&list[0]["state"], &list[0]["title"]),
        (&json!("closed"), &json!("Better"))
    );
}
