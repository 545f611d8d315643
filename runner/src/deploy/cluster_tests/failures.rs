//! Every class of failure, on a real cluster: named by its cause, in seconds.

use pipelines::deploy::Phase;
use pipelines::job::Outcome;

use super::orders::{Order, Told, crash, deployment, web};
use super::world::{World, in_namespace};

/// Prints how long the verdict took, for the table in the documentation.
fn time(name: &str, told: &Told) {
    println!(
        "TIMING {name}: {:.1} s: {:?}",
        told.rollout_seconds(),
        told.finish.reason
    );
}

/// A rollout that must fail, by this cause, while a good release serves.
async fn fails(name: &str, manifest: String, cause: &str) {
    in_namespace(async |world: World| {
        world.deploy(Order::new(1, &web("1", 1))).await;
        let bad = world.deploy(Order::new(2, &manifest)).await;
        time(name, &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
        let reason = bad.finish.reason.clone().unwrap();
        assert!(reason.contains(cause), "{reason}");
        assert!(
            reason.contains("the former release keeps serving with 1 ready pod"),
            "{reason}"
        );
        let last = bad.last();
        assert!(!last.causes.is_empty(), "{last:?}");
        assert_eq!(last.verdict, reason);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_named_with_its_exit_code_and_last_lines() {
    in_namespace(async |world: World| {
        // Without a probe it counts as ready while it runs, and may be told as ended within the bake.
        let manifest = deployment(
            "command: [sh, -c, 'echo cannot find the database; exit 3']
        readinessProbe: {exec: {command: ['false']}}",
        );
        let bad = world.deploy(Order::new(1, &manifest)).await;
        time("crash", &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
        let reason = bad.finish.reason.clone().unwrap();
        assert!(
            reason.contains("container web exits with code 3"),
            "{reason}"
        );
        assert!(reason.contains("no pod serves"), "{reason}");
        let cause = &bad.last().causes[0];
        assert!(
            cause.lines.contains(&"cannot find the database".to_owned()),
            "{cause:?}"
        );
        assert!(
            bad.notes
                .iter()
                .any(|note| note.contains("cannot find the database"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_killed_for_its_memory_is_named_so() {
    let eats = "x=a; while true; do x=$x$x; done";
    let manifest = deployment(&format!(
        "command: [sh, -c, '{eats}']
        readinessProbe: {{exec: {{command: ['false']}}}}
        resources: {{limits: {{memory: 20Mi}}}}"
    ));
    fails("oom", manifest, "more memory than its limit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_image_is_named() {
    let manifest =
        deployment("command: [sh]").replace("localhost/busybox:1", "127.0.0.1:5050/acme/none:1");
    fails(
        "image absent",
        manifest,
        "image 127.0.0.1:5050/acme/none:1 is not in its registry",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_name_that_is_none_is_named() {
    let manifest = deployment("command: [sh]").replace("localhost/busybox:1", "Not//AnImage");
    fails("image name", manifest, "is not a valid image name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_command_is_named() {
    fails(
        "command absent",
        deployment("command: [/nope]"),
        "the command of container web cannot be started",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_of_the_environment_is_named() {
    let env = "command: [sleep, '600']\n        env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop-env, key: key}}}]";
    fails(
        "missing secret",
        deployment(env),
        "secret \"shop-env\" not found",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_config_map_of_a_volume_is_named() {
    let volume = "command: [sleep, '600']\n        volumeMounts: [{name: v, mountPath: /v}]\n      volumes: [{name: v, configMap: {name: shop-conf}}]";
    fails(
        "missing volume",
        deployment(volume),
        "configmap \"shop-conf\" not found",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_container_that_fails_is_named() {
    let init = "command: [sleep, '600']\n      initContainers: [{name: migrate, image: 'localhost/busybox:1', command: [sh, -c, exit 5]}]";
    fails(
        "init container",
        deployment(init),
        "init container migrate exits with code 5",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_kills_is_no_success() {
    let probe = "command: [sleep, '600']\n        livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}";
    in_namespace(async |world: World| {
        let mut order = Order::new(1, &deployment(probe));
        order.bake_seconds = 20;
        let bad = world.deploy(order).await;
        time("liveness", &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_after_a_while_is_no_success() {
    in_namespace(async |world: World| {
        let mut order = Order::new(1, &crash("sleep 4; exit 7"));
        order.bake_seconds = 10;
        let bad = world.deploy(order).await;
        time("slow crash", &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
        let reason = bad.finish.reason.unwrap();
        assert!(reason.contains("of the bake (exit code 7)"), "{reason}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_is_named() {
    in_namespace(async |world: World| {
        world.quota(1).await;
        world.deploy(Order::new(1, &web("1", 1))).await;
        let bad = world.deploy(Order::new(2, &web("2", 1))).await;
        time("quota", &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
        let reason = bad.finish.reason.clone().unwrap();
        assert!(reason.contains("exceeded quota"), "{reason}");
        assert!(
            reason.contains("keeps serving with 1 ready pod"),
            "{reason}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_service_account_is_named() {
    let manifest = deployment("command: [sleep, '600']\n      serviceAccountName: nobody");
    fails(
        "service account",
        manifest,
        "serviceaccount \"nobody\" not found",
    )
    .await;
}

/// F27
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_node_takes_is_named_after_its_grace() {
    let manifest = deployment("command: [sleep, '600']\n      nodeSelector: {disk: quantum}");
    fails("unschedulable", manifest, "no node takes the pod").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readiness_probe_that_never_passes_fails_at_the_deadline_and_is_explained_before() {
    let probe = "command: [sleep, '600']\n        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}";
    in_namespace(async |world: World| {
        let mut order = Order::new(1, &deployment(probe));
        order.deadline_seconds = 8;
        let bad = world.deploy(order).await;
        time("readiness (deadline 8 s)", &bad);
        assert_eq!(bad.finish.outcome, Outcome::Failed, "{bad:?}");
        let reason = bad.finish.reason.clone().unwrap();
        assert!(
            reason.contains("readiness probe fails") && reason.contains("no progress for 8 s"),
            "{reason}"
        );
        let early = bad
            .pictures()
            .into_iter()
            .find(|picture| picture.verdict.contains("fails its readiness probe"));
        assert_eq!(early.map(|picture| picture.phase), Some(Phase::Rolling));
    })
    .await;
}
