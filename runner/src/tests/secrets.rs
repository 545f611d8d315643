//! What becomes of the secrets of a job.

use pipelines::wire::Secrets;

use super::*;

/// Steps, of which each has the secret `deploy_key` that prints it.
fn with_secret(scripts: &[&str]) -> AssignedWork {
    let AssignedWork::Steps(mut work) = steps(scripts) else {
        unreachable!("steps are steps");
    };
    for step in &mut work.steps {
        if step.run.contains("DEPLOY_KEY") {
            step.secrets = vec!["deploy_key".parse().unwrap()];
        }
    }
    AssignedWork::Steps(work)
}

fn given(value: &str) -> Secrets {
    Secrets {
        values: [("deploy_key".parse().unwrap(), value.to_owned())].into(),
        ..Secrets::default()
    }
}

#[tokio::test]
async fn a_secret_reaches_the_step_that_names_it_and_no_line_of_the_log() {
    let mut world = World::new().await;
    world.server.give_secrets(Ok(given("hunter-two-two")));
    let work = with_secret(&[
        "echo $DEPLOY_KEY > kept\necho <$DEPLOY_KEY>",
        "cat kept\necho $OTHER hunter-two-two",
    ]);
    assert_eq!(world.play(1, work).await, (Outcome::Passed, None));
    let log = texts(&world.server.log_at_end(1));
    let shown: Vec<_> = log.iter().filter(|line| line.contains("***")).collect();
    // The scripted engine expands whole words only: the first line shows what was there.
    assert_eq!(shown, ["***", " ***"], "{log:?}");
    assert!(!log.concat().contains("hunter"), "{log:?}");
    world.end().await;
}

#[tokio::test]
async fn nobody_asks_for_secrets_that_no_step_names() {
    let mut world = World::new().await;
    // The stand-in refuses: it has none.
    let ended = world.play(1, steps(&["echo x"])).await;
    assert_eq!(ended, (Outcome::Passed, None));
    world.end().await;
}

#[tokio::test]
async fn a_step_goes_on_without_a_secret_that_is_withheld_and_the_log_says_why() {
    let mut world = World::new().await;
    let withheld = Secrets {
        withheld: [(
            "deploy_key".parse().unwrap(),
            "`deploy_key` is withheld: a fork".into(),
        )]
        .into(),
        ..Secrets::default()
    };
    world.server.give_secrets(Ok(withheld));
    let ended = world.play(1, with_secret(&["echo a $DEPLOY_KEY b"])).await;
    assert_eq!(ended, (Outcome::Passed, None));
    let log = texts(&world.server.log_at_end(1));
    let expected = [
        "`deploy_key` is withheld: a fork; this goes on without it",
        "a  b",
    ];
    assert_eq!(log[log.len() - 2..], expected);
    world.end().await;
}

#[tokio::test]
async fn a_secret_that_a_run_may_not_have_fails_it_in_the_servers_words() {
    let mut world = World::new().await;
    let text = "there is no secret `deploy_key` for this branch";
    world.server.give_secrets(Err(text.into()));
    let ended = world.play(1, with_secret(&["echo $DEPLOY_KEY"])).await;
    assert_eq!(ended, (Outcome::Failed, Some(text.into())));
    world.end().await;
}

#[tokio::test]
async fn real_steps_have_their_secret_whole_and_their_log_has_it_nowhere() {
    let Some(_engine) = crate::engine::contract_tests::connect_docker().await else {
        return;
    };
    let mut world = World::new().await;
    world.engine = EngineChoice::Docker;
    let value = "line one of it\nline two of it\n";
    world.server.give_secrets(Ok(given(value)));
    let work = with_secret(&[
        "printf %s \"$DEPLOY_KEY\" | cmp - /run/secrets/deploy_key && cat /run/secrets/deploy_key",
        "echo $DEPLOY_KEY; printf %s \"$DEPLOY_KEY\" | base64",
    ]);
    let ended = world.play(1, work).await;
    let log = texts(&world.server.log_at_end(1));
    assert_eq!(ended, (Outcome::Passed, None), "{log:?}");
    assert_eq!(log[log.len() - 4..], ["***", "***", "*** ***", "***"]);
    world.end().await;
}
