use std::io::Read as _;

use futures_util::StreamExt as _;

use super::*;

/// A checkout with these files, all with their own name as content.
fn checkout(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    root
}

/// Every entry of the context's archive: `kind name [-> target]`.
async fn entries(context: Context) -> Vec<String> {
    let mut stream = Box::pin(archive::stream(move |builder| context.write(builder)));
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let link = entry
            .link_name()
            .unwrap()
            .map(|to| to.display().to_string());
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        seen.push(match link {
            Some(to) => format!("{name} -> {to}"),
            None if entry.header().entry_type().is_dir() => format!("{name}/"),
            None => name,
        });
    }
    seen
}

async fn sent(root: &tempfile::TempDir, context: &str, dockerfile: &str) -> Vec<String> {
    entries(Context::find(root.path(), context, dockerfile).unwrap()).await
}

#[tokio::test]
async fn the_ignore_file_and_the_dockerfile_are_always_sent() {
    let root = checkout(&["Dockerfile", "a", "b/c", "b/d", "e/f"]);
    std::fs::write(root.path().join(".dockerignore"), "*\n!b/c\n").unwrap();
    let expected = [".dockerignore", "Dockerfile", "b/", "b/c"];
    assert_eq!(sent(&root, ".", "Dockerfile").await, expected);
}

#[tokio::test]
async fn folders_that_hold_nothing_kept_are_not_sent() {
    let root = checkout(&[
        ".git/x.go",
        "Dockerfile",
        "x/y/z/kept.go",
        "x/y/z/left",
        "w/left",
    ]);
    std::fs::write(root.path().join(".dockerignore"), "*\n!**/*.go").unwrap();
    let expected = [
        ".dockerignore",
        "Dockerfile",
        "x/",
        "x/y/",
        "x/y/z/",
        "x/y/z/kept.go",
    ];
    assert_eq!(sent(&root, ".", "Dockerfile").await, expected);
}

#[tokio::test]
async fn a_dockerfile_outside_its_context_travels_along_and_brings_its_own_patterns() {
    let root = checkout(&["docker/Dockerfile", "app/main", "app/left"]);
    std::fs::write(root.path().join("docker/Dockerfile.dockerignore"), "left").unwrap();
    std::fs::write(root.path().join("app/.dockerignore"), "main").unwrap();
    let expected = [".dockerignore", "main", FOREIGN_DOCKERFILE];
    assert_eq!(sent(&root, "app", "docker/Dockerfile").await, expected);
}

#[tokio::test]
async fn symlinks_are_sent_as_such_and_never_followed() {
    let root = checkout(&["Dockerfile"]);
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("file")).unwrap();
    std::os::unix::fs::symlink("/etc", root.path().join("folder")).unwrap();
    let expected = ["Dockerfile", "file -> /etc/passwd", "folder -> /etc"];
    assert_eq!(sent(&root, ".", "Dockerfile").await, expected);
}

#[test]
fn nothing_outside_the_checkout_can_be_named() {
    let root = checkout(&["Dockerfile", "app/x"]);
    std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("passwd")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("app/.dockerignore")).unwrap();
    for (context, dockerfile) in [
        ("..", "Dockerfile"),
        ("app/../..", "Dockerfile"),
        ("/etc", "Dockerfile"),
        ("out", "Dockerfile"),
        (".", "../Dockerfile"),
        (".", "/etc/passwd"),
        (".", "passwd"),
        (".", "out/passwd"),
        ("app", "Dockerfile"),
        ("missing", "Dockerfile"),
        (".", "missing"),
        ("Dockerfile", "Dockerfile"),
        (".", "app"),
    ] {
        let found = Context::find(root.path(), context, dockerfile);
        assert!(
            matches!(found, Err(ContextError::Work(_))),
            "{context} {dockerfile}"
        );
    }
}

#[test]
fn patterns_beyond_measure_are_refused_in_words() {
    let root = checkout(&["Dockerfile"]);
    let most = "# a comment\n\n".to_owned() + &"x\n".repeat(5000);
    let cases = [
        (most.clone(), None),
        (most + "x\n", Some("more than 5000 patterns")),
        ("#".repeat(256 * 1024 + 1), Some("larger than 256 KB")),
    ];
    for (text, expected) in cases {
        std::fs::write(root.path().join(".dockerignore"), text).unwrap();
        match (Context::find(root.path(), ".", "Dockerfile"), expected) {
            (Ok(_), None) => {}
            (Err(ContextError::Work(text)), Some(words)) => assert!(text.contains(words), "{text}"),
            (found, _) => panic!("{found:?}, expected {expected:?}"),
        }
    }
}
