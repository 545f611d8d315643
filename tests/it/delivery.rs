//! From GitHub's hook to a run and back to GitHub's check.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipelines::limits::WEBHOOK_BYTES_MAX;
use tests::api::Run;
use tests::github::{GitHub, WebhookAnswer, sign};
use tests::runners::RunnerOptions;
use tests::world::{WEBHOOK_SECRET, World};

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_signed_push_becomes_a_run_at_that_commit() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, &steps(&["echo hello"])?)])
        .await?;
    let run = world
        .run_when("acme/shop", &sha, "is queued", |run| run.state == "queued")
        .await?;
    assert_eq!((run.number, run.event.as_str()), (1, "push"));
    assert_eq!(run.branch.as_deref(), Some("main"));
    assert_eq!(run.job("work")?.kind, "steps");
    let pushes = world.github.deliveries_of("push");
    assert_eq!(pushes.last().and_then(|push| push.status_code), Some(202));
    Ok(())
}

/// F1
#[tokio::test]
async fn a_wrong_signature_is_refused_and_nothing_is_stored() -> Result<()> {
    let world = World::start().await?;
    let body = br#"{"zen":"Anything added dilutes everything else."}"#;
    let other = world.github.signed_headers("ping", body, "another secret");
    assert_eq!(world.github.send_raw(&other, body).await?.status, 401);

    let mut unsigned = world.github.signed_headers("ping", body, WEBHOOK_SECRET);
    unsigned.retain(|(name, _)| !name.to_lowercase().starts_with("x-hub-signature"));
    assert_eq!(world.github.send_raw(&unsigned, body).await?.status, 401);

    let mut only_sha1 = unsigned.clone();
    only_sha1.push((
        "X-Hub-Signature".to_owned(),
        format!("sha1={}", "0".repeat(40)),
    ));
    assert_eq!(world.github.send_raw(&only_sha1, body).await?.status, 401);

    // Right for the same JSON, but not for these bytes.
    let right = world.github.signed_headers("ping", body, WEBHOOK_SECRET);
    let spaced = br#"{ "zen": "Anything added dilutes everything else." }"#;
    assert_eq!(world.github.send_raw(&right, spaced).await?.status, 401);

    assert_eq!(
        world
            .history()
            .await?
            .number("select count(*) from deliveries")
            .await?,
        0
    );
    Ok(())
}

/// F4
#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused_and_not_stored() -> Result<()> {
    let world = World::start().await?;
    let large = vec![b' '; WEBHOOK_BYTES_MAX + 1];
    let headers = world.github.signed_headers("push", &large, WEBHOOK_SECRET);
    // It may hang up before it has read all of it: then there is no answer to look at.
    if let Ok(WebhookAnswer { status, .. }) = world.github.send_raw(&headers, large).await {
        assert_eq!(status, 413);
    }
    let form = b"payload=%7B%7D";
    let mut headers = world.github.signed_headers("push", form, WEBHOOK_SECRET);
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    headers.push((
        "Content-Type".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
    ));
    assert_eq!(world.github.send_raw(&headers, form).await?.status, 415);
    assert_eq!(
        world
            .history()
            .await?
            .number("select count(*) from deliveries")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn both_live_secrets_sign_while_one_is_being_replaced() -> Result<()> {
    let world = World::start().await?;
    std::fs::write(
        world.dir().join("webhook-secret"),
        format!("the next one\n{WEBHOOK_SECRET}"),
    )?;
    world.stop_server().await?;
    world.start_server().await?;
    for secret in [WEBHOOK_SECRET, "the next one"] {
        let body = format!("{{\"zen\":\"{secret}\"}}");
        let headers = world.github.signed_headers("ping", body.as_bytes(), secret);
        assert_eq!(
            world.github.send_raw(&headers, body).await?.status,
            202,
            "{secret}"
        );
    }
    Ok(())
}

/// The body of a push that was recorded but not sent.
async fn held_push(world: &World, name: &str) -> Result<String> {
    let repository = world.repository(name).await?;
    world.github.hold_deliveries();
    repository
        .commit("main", "Begin", &[(FILE, &steps(&["echo hello"])?)])
        .await?;
    let mut pushes = world.github.deliveries_of("push");
    Ok(pushes.pop().context("a push makes a delivery")?.body)
}

/// F2
#[tokio::test]
async fn the_same_delivery_fifty_times_at_once_is_one_run() -> Result<()> {
    let world = World::start().await?;
    let body = held_push(&world, "acme/shop").await?;
    let headers = world
        .github
        .signed_headers("push", body.as_bytes(), WEBHOOK_SECRET);
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (github, headers, body) = (world.github.clone(), headers.clone(), body.clone());
        posts.spawn(async move { github.send_raw(&headers, body).await });
    }
    while let Some(answer) = posts.join_next().await {
        assert_eq!(answer??.status, 202);
    }
    world.runs("acme/shop", 1).await?;
    one_run_after_everything_is_handled(&world).await
}

/// F2
#[tokio::test]
async fn a_replay_under_a_new_id_starts_nothing() -> Result<()> {
    let world = World::start().await?;
    let body = held_push(&world, "acme/shop").await?;
    for _ in 0..3 {
        // Fresh headers have a fresh id each time; the signed bytes are the same.
        let headers = world
            .github
            .signed_headers("push", body.as_bytes(), WEBHOOK_SECRET);
        assert_eq!(
            world.github.send_raw(&headers, body.as_str()).await?.status,
            202
        );
    }
    world.runs("acme/shop", 1).await?;
    one_run_after_everything_is_handled(&world).await
}

/// A second run could only come from a delivery that is still waiting: none is, and there is one.
async fn one_run_after_everything_is_handled(world: &World) -> Result<()> {
    let history = world.history().await?;
    world
        .eventually("every delivery to be handled", SOON, async || {
            let open = "select count(*) from deliveries where handled_at is null";
            ensure!(history.number(open).await? == 0, "some are not");
            Ok(())
        })
        .await?;
    assert_eq!(history.number("select count(*) from runs").await?, 1);
    assert_eq!(
        history
            .number("select count(*) from deliveries where event = 'push'")
            .await?,
        1
    );
    Ok(())
}

/// F7, F41
#[tokio::test]
async fn an_acknowledged_delivery_survives_kill_9_at_once() -> Result<()> {
    let world = World::start().await?;
    let body = held_push(&world, "acme/shop").await?;
    let headers = world
        .github
        .signed_headers("push", body.as_bytes(), WEBHOOK_SECRET);
    assert_eq!(world.github.send_raw(&headers, body).await?.status, 202);
    world.kill_server().await?;
    world.start_server().await?;
    world.runs("acme/shop", 1).await?;
    one_run_after_everything_is_handled(&world).await
}

#[tokio::test]
async fn a_push_to_a_repository_nobody_knows_is_stored_ignored_and_said_so() -> Result<()> {
    let world = World::start().await?;
    let body = held_push(&world, "acme/shop").await?;
    let mut push: serde_json::Value = serde_json::from_str(&body)?;
    push["repository"]["id"] = 999_999.into();
    push["repository"]["full_name"] = "acme/unknown".into();
    push["repository"]["name"] = "unknown".into();
    let body = push.to_string();
    let headers = world
        .github
        .signed_headers("push", body.as_bytes(), WEBHOOK_SECRET);
    assert_eq!(world.github.send_raw(&headers, body).await?.status, 202);
    let history = world.history().await?;
    let query = "select coalesce(outcome, '') from deliveries where state = 'ignored'";
    let said = world
        .eventually("it to be ignored", SOON, async || {
            history
                .texts(query)
                .await?
                .pop()
                .context("nothing is ignored yet")
        })
        .await?;
    assert!(
        said.contains("acme/unknown") || said.contains("repository"),
        "it says: {said}"
    );
    assert_eq!(history.number("select count(*) from runs").await?, 0);
    Ok(())
}

/// F12
#[tokio::test]
async fn other_events_are_stored_and_start_nothing() -> Result<()> {
    let world = World::start().await?;
    let payload = serde_json::json!({ "action": "created", "what": "a star" });
    assert_eq!(
        world.github.send("star", &payload).await?.status_code,
        Some(202)
    );
    let history = world.history().await?;
    world
        .eventually("it to be handled", SOON, async || {
            let handled = "select count(*) from deliveries where state = 'ignored'";
            ensure!(history.number(handled).await? == 1, "not yet");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_broken_pipeline_file_fails_run_and_check_at_line_column_and_hint() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let broken = "on: push\njobs:\n  work:\n    imag: busybox\n    steps: [echo hello]\n";
    let sha = repository
        .commit("main", "Begin", &[(FILE, broken)])
        .await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "failed");
    let reason = run.reason.clone().unwrap_or_default();
    assert!(
        reason.contains(FILE) && reason.contains('4'),
        "the reason is: {reason}"
    );
    let check = world
        .eventually("the check to be completed", SOON, async || {
            let check = repository
                .check_runs(&sha)
                .pop()
                .context("there is no check yet")?;
            let last = check.history.last().context("a check has a state")?.clone();
            ensure!(last.status == "completed", "it is {}", last.status);
            Ok(last)
        })
        .await?;
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    let told = format!("{:?} {:?}", check.title, check.summary);
    for word in ["imag", "image", "4:5"] {
        assert!(told.contains(word), "the check does not say {word}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn checks_arrive_in_order_and_end_as_the_run_ended() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    for (script, conclusion) in [("echo fine", "success"), ("exit 3", "failure")] {
        let sha = repository
            .commit("main", script, &[(FILE, &steps(&[script])?)])
            .await?;
        world.run_of("acme/shop", &sha).await?;
        let states = world
            .eventually("the check to be completed", SOON, async || {
                let check = repository
                    .check_runs(&sha)
                    .pop()
                    .context("there is no check yet")?;
                let states: Vec<_> = check.history.iter().map(|one| one.status.clone()).collect();
                ensure!(
                    states.last().is_some_and(|last| last == "completed"),
                    "{states:?}"
                );
                assert_eq!(
                    check
                        .history
                        .last()
                        .and_then(|one| one.conclusion.as_deref()),
                    Some(conclusion)
                );
                Ok(states)
            })
            .await?;
        let order = ["queued", "in_progress", "completed"];
        let place = |state: &String| order.iter().position(|one| one == state);
        assert!(states.is_sorted_by_key(place), "checks went {states:?}");
        assert_eq!(repository.check_runs(&sha).len(), 1, "one run, one check");
    }
    Ok(())
}

/// F54
#[tokio::test]
async fn an_outage_of_github_delays_the_check_and_nothing_else() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let sha = repository
        .commit(
            "main",
            "Begin",
            &[(FILE, &steps(&["sleep 2", "echo end"])?)],
        )
        .await?;
    let at_its_step = |run: &Run| {
        let work = run.job("work");
        work.is_ok_and(|work| work.steps.iter().any(|step| step.name == "step 1"))
    };
    // Once the commit has been fetched, nothing more is needed of GitHub.
    world
        .run_when("acme/shop", &sha, "is at its step", at_its_step)
        .await?;
    world.github.set_outage(true);
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "passed");
    let is_completed = |github: &GitHub| {
        let check = github
            .repository("acme/shop")
            .ok()?
            .check_runs(&sha)
            .pop()?;
        check.history.last().map(|last| last.status == "completed")
    };
    assert_ne!(is_completed(&world.github), Some(true), "GitHub was away");
    world.github.set_outage(false);
    world
        .eventually(
            "the check to be completed",
            Duration::from_secs(60),
            async || {
                ensure!(is_completed(&world.github) == Some(true), "it is not");
                Ok(())
            },
        )
        .await
}

#[test]
fn the_stories_sign_as_github_documents_it() {
    // From GitHub's own documentation of webhook signatures.
    let signed = sign("It's a Secret to Everybody", b"Hello, World!");
    let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(signed, format!("sha256={expected}"));
}
