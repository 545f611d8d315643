//! The same with real containers.

use super::*;
use crate::engine::contract_tests::connect_docker;

async fn docker_world() -> Option<World> {
    connect_docker().await?;
    let mut world = World::new().await;
    world.engine = EngineChoice::Docker;
    Some(world)
}

#[tokio::test]
async fn a_cache_brings_back_folders_links_and_rights_also_outside_of_the_workspace() {
    let Some(mut world) = docker_world().await else {
        return;
    };
    let make = "mkdir -p target/a; echo x > target/a/one; ln target/a/one target/two; \
                ln -s a/one target/three; echo '#!/bin/sh' > target/run; chmod 750 target/run; \
                mkfifo target/pipe; ln -s /etc/passwd target/out; mkdir -p /var/deps/b; echo y > /var/deps/b/c";
    let show = "cat target/a/one target/two target/three /var/deps/b/c; \
                stat -c '%h %a' target/two target/run; find target /var/deps | sort | wc -l";
    let kept = |work: &mut StepsWork| work.caches.push(cache(&["target", "/var/deps"]));
    world.play(1, leaving(&[make], kept)).await;
    let ended = world.play(2, leaving(&[show], kept)).await;
    let log = texts(&world.server.log_at_end(2));
    let shown = &log[log.len() - 7..];
    assert_eq!(
        (ended, shown),
        (
            (Outcome::Passed, None),
            &["x", "x", "x", "y", "2 644", "1 750", "9"].map(str::to_owned)[..]
        ),
        "{log:?} {:?}",
        said(&world, 1)
    );
    world.end().await;
}

#[tokio::test]
async fn files_are_found_in_folders_and_symlinks_are_not_followed() {
    let Some(mut world) = docker_world().await else {
        return;
    };
    let make = "mkdir -p dist/js reports/deep; echo a > dist/js/app.js; echo b > dist/index; \
                ln -s /etc/passwd dist/link; echo 1.0 > version; \
                echo '<testsuite><testcase name=\"a\"/></testsuite>' > reports/deep/one.xml; \
                echo '<html/>' > reports/two.xml";
    let work = leaving(&[make], |work| {
        work.artifacts = vec!["dist/".into(), "!dist/index".into()];
        work.junit = vec!["reports/**/*.xml".into()];
        work.outputs.insert("version".into(), "version".into());
    });
    let ended = world.play(1, work).await;
    let tests = world
        .server
        .reports(1)
        .into_iter()
        .find_map(|report| match report {
            Report::Tests(tests) => Some((tests.passed, tests.problems)),
            _ => None,
        });
    let problem = "`reports/two.xml` is not read: its root is `html`, not `testsuites`";
    let files = [
        "artifact dist/js/app.js: a",
        "junit reports/deep/one.xml: <testsuite><testcase name=\"a\"/></testsuite>",
        "junit reports/two.xml: <html/>",
    ];
    assert_eq!(
        (
            ended.0,
            tests,
            world.server.files(),
            outputs(&world.server.reports(1))
        ),
        (
            Outcome::Passed,
            Some((1, vec![problem.to_owned()])),
            files.map(str::to_owned).into(),
            vec!["version=\"1.0\"".to_owned()],
        ),
        "{ended:?}"
    );
    world.end().await;
}
