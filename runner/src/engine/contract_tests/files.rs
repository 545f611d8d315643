//! The files of a job, in and out.

use std::io::Read as _;

use super::docker_only::with_docker;
use super::*;
use crate::archive;

/// What is at a path, as `name: content`, in order; nothing if nothing is there.
async fn listed(subject: &Subject<impl Engine>, path: &str) -> Option<Vec<String>> {
    let files = subject
        .engine
        .read_files(&subject.key, path)
        .await
        .unwrap()?;
    let list = |reader| {
        let mut listed = Vec::new();
        for entry in tar::Archive::new(reader).entries()? {
            let mut entry = entry?;
            let mut content = String::new();
            entry.read_to_string(&mut content)?;
            let target = entry
                .link_name()?
                .map(|target| format!(" -> {}", target.display()));
            let name = entry.path()?.display().to_string();
            let name = name.trim_end_matches('/');
            listed.push(format!(
                "{name}: {}{}",
                content.trim_end(),
                target.unwrap_or_default()
            ));
        }
        listed.sort();
        Ok(listed)
    };
    Some(archive::consume(files, list).await.unwrap())
}

pub(super) async fn files_come_out_under_their_names(subject: Subject<impl Engine>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("seed"), "from the commit\n").unwrap();
    subject.fill(folder.path()).await;
    let file = listed(&subject, "/workspace/seed").await;
    let none = listed(&subject, "/workspace/none/x").await;
    let all = listed(&subject, "/workspace").await;
    let seed = "seed: from the commit";
    let whole = vec![format!("workspace/{seed}"), "workspace: ".into()];
    assert_eq!(
        (file, none, all),
        (Some(vec![seed.into()]), None, Some(whole))
    );
}

pub(super) async fn files_are_put_where_the_steps_see_them(subject: Subject<impl Engine>) {
    let folder = tempfile::tempdir().unwrap();
    subject.fill(folder.path()).await;
    let files = archive::stream(|builder| {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        builder.append_data(&mut header, "workspace/a/made", &b"here\n"[..])
    });
    let written = subject
        .engine
        .write_files(&subject.key, Box::pin(files))
        .await;
    written.unwrap();
    let (end, lines) = subject.play(&subject.step(1, "cat a/made"), None).await;
    assert_eq!(
        (end, texts(&lines, Voice::Out)),
        (exited(0, ""), vec!["here".to_owned()])
    );
}

pub(super) async fn a_torn_stream_of_files_is_an_error(subject: Subject<impl Engine>) {
    let folder = tempfile::tempdir().unwrap();
    subject.fill(folder.path()).await;
    let files = archive::stream(|_| Err(std::io::Error::other("torn")));
    let written = subject
        .engine
        .write_files(&subject.key, Box::pin(files))
        .await;
    assert!(written.is_err());
}

#[tokio::test]
async fn a_volume_begins_with_what_the_image_has_and_is_shared_by_the_steps() {
    let Some(mut subject) = docker().await else {
        return;
    };
    // Without what the image has there, no step would find its shell.
    subject.key.volumes = vec!["/bin".into()];
    let (engine, instance) = (subject.engine.clone(), subject.key.instance);
    let played = async move {
        let subject = subject.prepared().await;
        let folder = tempfile::tempdir().unwrap();
        subject.fill(folder.path()).await;
        let (made, _) = subject
            .play(&subject.step(1, "echo kept > /bin/made"), None)
            .await;
        let (end, lines) = subject.play(&subject.step(2, "cat /bin/made"), None).await;
        let out = listed(&subject, "/bin/made").await;
        subject.remove().await;
        let left = subject.engine.sweep(subject.key.instance, &NONE).await;
        (made, end, texts(&lines, Voice::Out), out, left)
    };
    let played = tokio::spawn(played).await;
    engine.sweep(instance, &NONE).await.unwrap();
    let kept = vec!["kept".to_owned()];
    let expected = (
        exited(0, ""),
        exited(0, ""),
        kept,
        Some(vec!["made: kept".into()]),
        Ok(0),
    );
    assert_eq!(played.unwrap(), expected);
}

#[tokio::test]
async fn links_come_out_as_links() {
    with_docker(|subject| async move {
        let folder = tempfile::tempdir().unwrap();
        subject.fill(folder.path()).await;
        let script = "mkdir d; echo x > d/a; ln d/a d/b; ln -s ../.. d/c; mkfifo d/p";
        let (end, _) = subject.play(&subject.step(1, script), None).await;
        let expected = ["d/a: x", "d/b:  -> d/a", "d/c:  -> ../..", "d/p: ", "d: "];
        let listed = listed(&subject, "/workspace/d").await;
        assert_eq!(
            (end, listed),
            (exited(0, ""), Some(expected.map(str::to_owned).into()))
        );
    })
    .await;
}
