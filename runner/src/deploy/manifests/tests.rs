use std::collections::BTreeMap;

use pipelines::names::PinnedImage;
use serde_json::{Value, json};

use super::render;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn app(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: shop}}\nspec:\n  template:\n    spec:\n      containers: [{{name: shop, image: '{image}'}}]\n"
    )
}

/// Renders these files of the folder `deploy`.
#[track_caller]
fn rendered(files: &[(&str, &str)], images: &[&str]) -> Result<Vec<Value>, Vec<String>> {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("deploy")).unwrap();
    for (name, text) in files {
        std::fs::write(root.path().join("deploy").join(name), text).unwrap();
    }
    let pinned = |name: &&str| {
        let image = PinnedImage {
            repository: "registry.example/acme/shop".parse().unwrap(),
            digest: DIGEST.parse().unwrap(),
        };
        ((*name).to_owned(), image)
    };
    let images: BTreeMap<_, _> = images.iter().map(pinned).collect();
    render(root.path(), "deploy", &"shop".parse().unwrap(), &images).map(|bundle| bundle.objects)
}

/// One problem, with these words.
#[track_caller]
fn refused(files: &[(&str, &str)], words: &[&str]) {
    let problems = rendered(files, &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for word in words {
        assert!(
            problems[0].contains(word),
            "`{word}` is not in: {}",
            problems[0]
        );
    }
}

#[test]
fn objects_come_in_the_order_of_applying_whatever_their_files() {
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n";
    let config =
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"shop\"}}";
    let first = format!("{ingress}---\n{}", app("shop"));
    let files = [
        ("a.yaml", first.as_str()),
        ("b.yml", service),
        ("c.json", config),
        ("README.md", "no manifest"),
    ];
    let objects = rendered(&files, &[]).unwrap();
    let kinds: Vec<_> = objects
        .iter()
        .map(|object| object["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["ConfigMap", "Service", "Deployment", "Ingress"]);
}

#[test]
fn an_image_is_pinned_by_its_whole_repository_with_or_without_a_tag() {
    for (image, is_pinned) in [
        ("acme/shop", true),
        ("acme/shop:latest", true),
        ("acme/shop@sha256:00", true),
        ("acme/shop-admin", false),
        ("other/acme/shop", false),
        ("localhost:5000/acme/shop:1", false),
    ] {
        let text = format!(
            "{}---\n{}",
            app(image),
            app("acme/shop").replace("name: shop}", "name: b}")
        );
        let objects = rendered(&[("a.yaml", &text)], &["acme/shop"]).unwrap();
        let container = &objects[0]["spec"]["template"]["spec"]["containers"][0]["image"];
        let wanted = format!("registry.example/acme/shop@{DIGEST}");
        assert_eq!(
            *container == json!(wanted),
            is_pinned,
            "{image}: {container}"
        );
    }
}

#[test]
fn a_registry_with_a_port_is_no_tag() {
    assert_eq!(
        super::images::repository("localhost:5000/shop"),
        "localhost:5000/shop"
    );
    assert_eq!(
        super::images::repository("localhost:5000/shop:1"),
        "localhost:5000/shop"
    );
    assert_eq!(super::images::repository("shop:1@sha256:00"), "shop");
}

#[test]
fn init_containers_are_pinned_as_well() {
    let text = app("nginx").replace(
        "containers:",
        "initContainers: [{name: m, image: shop}]\n      containers:",
    );
    let objects = rendered(&[("a.yaml", &text)], &["shop"]).unwrap();
    let image = objects[0]["spec"]["template"]["spec"]["initContainers"][0]["image"]
        .as_str()
        .unwrap();
    assert!(image.ends_with(DIGEST));
}

#[test]
fn an_image_that_nobody_uses_is_a_problem() {
    let problems = rendered(&[("a.yaml", &app("shop:1"))], &["shpo"]).unwrap_err();
    assert!(
        problems[0].contains("no container uses image `shpo`") && problems[0].contains("shop:1"),
        "{problems:?}"
    );
}

#[test]
fn every_problem_is_told_with_its_file_and_document() {
    let text = format!(
        "{}---\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\n---\na: [\n",
        app("shop")
    );
    let problems = rendered(&[("a.yaml", &text), ("b.yaml", "just words")], &[]).unwrap_err();
    let all = problems.join("\n");
    assert_eq!(problems.len(), 4, "{all}");
    assert!(
        all.contains("deploy/a.yaml, document 2: no `apiVersion`"),
        "{all}"
    );
    assert!(
        all.contains("deploy/a.yaml, document 3: ConfigMap has no `metadata.name`"),
        "{all}"
    );
    assert!(all.contains("deploy/a.yaml, document 4 (line "), "{all}");
    assert!(
        all.contains("deploy/b.yaml, document 1: not a Kubernetes object"),
        "{all}"
    );
}

#[test]
fn the_line_of_a_problem_is_the_line_of_the_file() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: B\nkind: C\n";
    refused(
        &[("a.yaml", text)],
        &["document 2 (line 6)", "not valid YAML"],
    );
}

#[test]
fn a_list_stands_for_its_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
    assert_eq!(rendered(&[("a.yaml", list)], &[]).unwrap().len(), 2);
}

#[test]
fn what_a_cluster_or_a_deploy_writes_is_no_part_of_a_release() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: shop\n  uid: u\n  resourceVersion: '1'\n  annotations: {seaworthy.dev/deploy: '4'}\nstatus: {}\n";
    let objects = rendered(&[("a.yaml", text)], &[]).unwrap();
    assert_eq!(
        objects,
        [json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})]
    );
}

#[test]
fn file_modes_are_octal_as_kubectl_reads_them() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nmode: 0644\n";
    assert_eq!(rendered(&[("a.yaml", text)], &[]).unwrap()[0]["mode"], 420);
}

#[test]
fn another_namespace_is_refused() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n";
    refused(
        &[("a.yaml", text)],
        &[
            "namespace \"other\"",
            "namespace \"shop\"",
            "remove `metadata.namespace`",
        ],
    );
}

#[test]
fn what_belongs_to_the_whole_cluster_is_refused() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    refused(&[("a.yaml", text)], &["Namespace a", "whole cluster"]);
}

#[test]
fn workloads_that_nobody_follows_are_refused() {
    for (version, kind) in [
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("argoproj.io/v1alpha1", "Rollout"),
    ] {
        let text = app("shop")
            .replace("apps/v1", version)
            .replace("kind: Deployment", &format!("kind: {kind}"));
        refused(
            &[("a.yaml", &text)],
            &[kind, "not supported yet", "false success"],
        );
    }
}

#[test]
fn the_same_object_twice_is_refused() {
    let text = format!("{}---\n{}", app("a"), app("b"));
    refused(
        &[("a.yaml", &text)],
        &[
            "document 2",
            "Deployment shop is there already",
            "document 1",
        ],
    );
}

#[test]
fn folders_of_other_tools_are_refused_by_name() {
    let app = app("shop");
    refused(
        &[
            ("a.yaml", &app),
            ("kustomization.yaml", "resources: [a.yaml]"),
        ],
        &["Kustomize is not supported yet"],
    );
    refused(
        &[("Chart.yaml", "name: shop")],
        &["Helm is not supported yet"],
    );
}

#[test]
fn a_folder_without_objects_is_refused() {
    refused(
        &[("a.yaml", "# nothing\n---\n")],
        &["holds no Kubernetes object"],
    );
    refused(&[], &["holds no .yml, .yaml or .json file"]);
}

#[test]
fn odd_metadata_is_refused_and_breaks_nothing() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: none}\n";
    refused(&[("a.yaml", text)], &["`metadata.labels` is not a mapping"]);
}

#[test]
fn a_link_out_of_the_repository_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.yaml"), "token: 1").unwrap();
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        outside.path().join("secret.yaml"),
        root.path().join("a.yaml"),
    )
    .unwrap();
    for path in ["a.yaml", "../", "/etc/hostname", "missing.yaml"] {
        let problems = render(
            root.path(),
            path,
            &"shop".parse().unwrap(),
            &BTreeMap::new(),
        )
        .unwrap_err();
        let told = &problems[0];
        assert!(
            told.contains("leads out of the repository")
                || told.contains("is not in the repository"),
            "{path}: {told}"
        );
    }
}

#[test]
fn a_name_that_is_no_plain_word_is_refused() {
    for name in ["../x", "a b", "a?b", "a/b", "ü"] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '{name}'}}\n");
        refused(&[("a.yaml", &text)], &["`metadata.name`", name]);
    }
    let role =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: 'a:B_c.d-1'}\n";
    assert!(rendered(&[("a.yaml", role)], &[]).is_ok());
}

#[test]
fn manifests_are_read_only_up_to_a_size_in_all() {
    let comment = format!("#{}\n", "x".repeat(2 * 1024 * 1024 - 2));
    let names: Vec<String> = (0..9).map(|number| format!("{number}.yaml")).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*comment)).collect();
    files.push(("z.yaml", "not: [read"));
    refused(&files, &["more than 16777216 bytes", "deploy/8.yaml"]);
}
