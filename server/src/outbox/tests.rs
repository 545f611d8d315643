//! What is due when, and what GitHub is told.

use pipelines::ids::RunId;
use pipelines::timestamp::Timestamp;

use super::{PATIENCE, failed, ms, summary, tick, title};
use crate::github::{GitHub, GitHubError};
use crate::progress::tests::{World, steps};
use crate::store::outbox::{self, Due};
use crate::store::runs::{self, CheckFacts};
use crate::web::tests::github_config;

async fn note(world: &World, run: i64, at: i64) {
    let mut tx = world.app.store.begin().await.unwrap();
    outbox::enqueue_check(&mut tx, RunId(run), Timestamp(at))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn due(world: &World, at: i64) -> Option<Due> {
    let all = outbox::next_due(world.app.store.reader(), Timestamp(at), 9).await;
    all.unwrap().into_iter().next()
}

/// F54
#[tokio::test]
async fn many_notes_about_a_run_are_one_message_and_later_ones_are_another() {
    let world = World::new().await;
    for at in [10, 20, 30] {
        note(&world, 1, at).await;
    }
    note(&world, 2, 15).await;
    let first = due(&world, 100).await.unwrap();
    assert_eq!(first.run(), Some(RunId(1)));
    // While it is being sent, the run moves again.
    note(&world, 1, 40).await;
    let mut tx = world.app.store.begin().await.unwrap();
    outbox::finish(&mut tx, &first, None, Timestamp(50))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&world, 100).await.unwrap().run(), Some(RunId(2)));
    assert_eq!(
        outbox::count_open(world.app.store.reader()).await.unwrap(),
        2
    );
}

#[tokio::test]
async fn each_installation_has_its_own_turn() {
    let world = World::new().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(world.run(vec![steps("test", &[])]).await);
    }
    let mut tx = world.app.store.begin().await.unwrap();
    for change in [
        "insert into repos (id, installation_id, owner, name, default_branch, private, created_at) \
         values (8, 2, 'globex', 'shop', 'main', 0, 0)",
        "update runs set repo_id = 8 where id = 3",
    ] {
        sqlx::query(change).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let now = world.app.clock.now();
    let due = outbox::next_due(world.app.store.reader(), now, 9).await;
    let due: Vec<_> = due.unwrap().iter().map(Due::run).collect();
    assert_eq!(due, [Some(runs[0]), Some(runs[2])]);
}

#[tokio::test]
async fn a_new_note_does_not_end_a_pause() {
    let world = World::new().await;
    note(&world, 1, 10).await;
    let first = due(&world, 100).await.unwrap();
    let mut tx = world.app.store.begin().await.unwrap();
    outbox::note_attempt(&mut tx, &first).await.unwrap();
    outbox::postpone(&mut tx, &first, ("away", Timestamp(500)))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    note(&world, 1, 200).await;
    assert!(due(&world, 300).await.is_none());
    let again = due(&world, 500).await.unwrap();
    assert_eq!((again.attempts, again.created_at()), (1, Timestamp(10)));
}

#[tokio::test]
async fn a_no_is_not_the_last_word_until_patience_ends() {
    let world = World::new().await;
    let now = world.app.clock.now().0;
    let errors = [
        GitHubError::NotFound("check".into()),
        GitHubError::NoAccess("taken out".into()),
        GitHubError::Refused("422".into()),
    ];
    for (run, error) in (1..).zip(&errors) {
        note(&world, run, now).await;
        let refused = due(&world, now).await.unwrap();
        failed(&world.app, &refused, error).await.unwrap();
    }
    assert!(due(&world, now).await.is_none(), "they pause");
    let open = outbox::count_open(world.app.store.reader());
    assert_eq!(open.await.unwrap(), 3);

    note(&world, 4, now - ms(PATIENCE) - 1).await;
    let old = due(&world, now).await.unwrap();
    failed(&world.app, &old, &errors[0]).await.unwrap();
    let open = outbox::count_open(world.app.store.reader());
    assert_eq!(open.await.unwrap(), 3);
}

#[tokio::test]
async fn a_message_that_cannot_be_made_does_not_stop_the_others() {
    let mut world = World::new().await;
    // Nobody listens there, and nobody has to.
    let config = github_config("http://127.0.0.1:9");
    world.app.github = Some(GitHub::new(&config, world.app.clock).unwrap());
    let broken = world.run(vec![steps("test", &[])]).await;
    let mut tx = world.app.store.begin().await.unwrap();
    sqlx::query("delete from outbox")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("update runs set commit_sha = 'none'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let now = world.app.clock.now().0;
    note(&world, broken.0, now).await;
    note(&world, 99, now).await;
    tick(&world.app).await.unwrap();
    // The broken one waits, and the run that is gone has been put aside.
    assert!(due(&world, now).await.is_none());
    let open = outbox::count_open(world.app.store.reader());
    assert_eq!(open.await.unwrap(), 1);
}

#[tokio::test]
async fn a_check_says_the_first_cause_and_every_job() {
    let world = World::new().await;
    let run = world
        .run(vec![steps("test", &[]), steps("lint", &["test"])])
        .await;
    let db = world.app.store.reader();
    let facts = runs::find_check_facts(db, run).await.unwrap().unwrap();
    let facts = CheckFacts {
        state: "failed".into(),
        reason: Some(".seaworthy/ci.yml:4:5: unknown key `imag` @everyone".into()),
        problems: r#"[{"line":4,"column":5,"text":"imag","message":"unknown key `imag`","hint":"did you mean `image`?"}]"#.into(),
        ..facts
    };
    let jobs = runs::job_lines(db, run).await.unwrap();
    insta::assert_snapshot!(format!("{}\n---\n{}", title(&facts), summary(&facts, &jobs)), @r#"
    failed: .seaworthy/ci.yml:4:5: unknown key `imag` @everyone
    ---
    Run 1 of `ci`: **failed**

    `.seaworthy/ci.yml:4:5: unknown key 'imag' @everyone`

    - `4:5: unknown key 'imag' (did you mean 'image'?)` at `imag`

    | job | state | why |
    | --- | --- | --- |
    | `test` | queued |  |
    | `lint` | waiting |  |
    "#);
}
