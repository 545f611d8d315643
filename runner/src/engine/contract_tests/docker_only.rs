//! What only real containers can show.

use bollard::models::HostConfig;
use pipelines::limits::{STEP_MEMORY_BYTES, STEP_PIDS, STOP_GRACE};

use super::*;
use crate::engine::docker::HOST_DEFAULT;

/// Runs `test` and leaves nothing behind, whatever it does.
pub(super) async fn with_docker<F>(test: impl FnOnce(Subject<DockerEngine>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(subject) = docker().await else {
        return;
    };
    let subject = subject.prepared().await;
    let (engine, instance) = (subject.engine.clone(), subject.key.instance);
    let played = tokio::spawn(test(subject)).await;
    engine.sweep(instance, &NONE).await.unwrap();
    played.unwrap();
}

#[tokio::test]
async fn every_byte_of_output_arrives() {
    with_docker(|subject| async move {
        let script = r"printf '\377\000\001 no end'; printf 'and\r\nmore' >&2";
        let (end, lines) = subject.play(&subject.step(1, script), None).await;
        assert_eq!(end, exited(0, ""));
        let bytes = |voice| -> Vec<Vec<u8>> {
            let of_voice = lines.iter().filter(|(spoke, _)| *spoke == voice);
            of_voice.map(|(_, text)| text.clone()).collect()
        };
        assert_eq!(bytes(Voice::Out), [b"\xff\x00\x01 no end".to_vec()]);
        assert_eq!(bytes(Voice::Err), [b"and\r".to_vec(), b"more".to_vec()]);
        let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
        let (end, lines) = subject.play(&subject.step(2, script), None).await;
        assert_eq!(end, exited(0, ""));
        let expected: Vec<String> = (0..20000).map(|index| format!("line {index}")).collect();
        assert_eq!(texts(&lines, Voice::Out), expected);
    })
    .await;
}

/// F25
#[tokio::test]
async fn ends_have_words() {
    with_docker(|subject| async move {
        for (step, script, code, words) in [
            (
                1,
                "no-such-command",
                127,
                "command not found (exit code 127)",
            ),
            (
                2,
                "echo x > x; ./x",
                126,
                "the command cannot be executed (exit code 126)",
            ),
            (3, "kill -SEGV $$", 139, "killed by SIGSEGV (exit code 139)"),
            (4, "false; echo never", 1, "exit code 1"),
            (5, "kill -KILL $$", 137, "killed by SIGKILL (exit code 137)"),
            (6, "exit 255", 255, "exit code 255"),
        ] {
            let (end, _) = subject.play(&subject.step(step, script), None).await;
            assert_eq!(end, exited(code, words), "{script}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_step_that_ignores_term_is_killed_after_the_grace() {
    with_docker(|subject| async move {
        let began = std::time::Instant::now();
        let script = "trap 'echo asked' TERM; echo started; while true; do sleep 1; done";
        let (end, lines) = subject
            .play(&subject.step(1, script), Some("started"))
            .await;
        assert_eq!(end, Ok(StepEnd::Stopped));
        assert_eq!(texts(&lines, Voice::Out), ["started", "asked"]);
        let took = began.elapsed();
        assert!(took >= STOP_GRACE && took < STOP_GRACE * 3 / 2, "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn a_container_may_do_nothing_it_need_not() {
    with_docker(|subject| async move {
        let stop = CancellationToken::new();
        let (log, mut local) = JobLog::local();
        let mut step = subject.step(1, "echo started\nsleep 600");
        step.env.insert("A".into(), "b=c".into());
        let step_log = log.step(1);
        let run = subject.engine.run(&subject.key, &step, &step_log, &stop);
        let look = async {
            local.next().await.unwrap();
            let name = format!("{}-1", subject.key.resource());
            let seen = subject.engine.docker().inspect_container(&name, None).await;
            stop.cancel();
            seen.unwrap()
        };
        let (end, seen) = tokio::join!(run, look);
        assert_eq!(end, Ok(StepEnd::Stopped));
        check_host(&subject, seen.host_config.unwrap());
        let mounts = seen.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].typ.as_deref(), Some("volume"));
        assert_eq!(mounts[0].destination.as_deref(), Some("/workspace"));
        let config = seen.config.unwrap();
        assert!(config.env.unwrap().contains(&"A=b=c".to_owned()));
        let labels = config.labels.unwrap();
        let expected = [
            ("run", "12"),
            ("job", "test"),
            ("attempt", "1"),
            ("step", "1"),
            ("repository", "acme/shop"),
        ];
        for (name, value) in expected {
            assert_eq!(labels[&format!("seaworthy.dev/{name}")], value);
        }
    })
    .await;
}

fn check_host(subject: &Subject<DockerEngine>, host: HostConfig) {
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.cap_add.unwrap_or_default(), Vec::<String>::new());
    assert_eq!(host.privileged, Some(false));
    assert_eq!(host.pids_limit, Some(STEP_PIDS));
    assert_eq!(host.memory, Some(STEP_MEMORY_BYTES));
    assert_eq!(host.memory_swap, Some(STEP_MEMORY_BYTES));
    assert_eq!(host.network_mode, Some(subject.key.resource()));
    assert_eq!(host.binds.unwrap_or_default(), Vec::<String>::new());
    assert_eq!(host.init, Some(true));
    let volume = host.mounts.unwrap().remove(0).volume_options.unwrap();
    assert_eq!(volume.no_copy, Some(true));
    let log = host.log_config.unwrap();
    assert_eq!(log.typ.as_deref(), Some("local"));
    let options = log.config.unwrap();
    assert_eq!(options["max-size"], "1843m");
    assert_eq!(options["max-file"], "1");
    let options = host.security_opt.unwrap();
    assert_eq!(options, ["no-new-privileges"]);
    for mode in [
        host.pid_mode,
        host.ipc_mode,
        host.userns_mode,
        host.uts_mode,
    ] {
        assert_ne!(mode.as_deref(), Some("host"));
    }
}

#[tokio::test]
async fn a_checkout_arrives_whole_and_writable() {
    with_docker(|subject| async move {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let long = "n".repeat(120);
        std::fs::create_dir_all(path("a/b")).unwrap();
        std::fs::write(path("a/b/big"), vec![b'x'; 3_000_000]).unwrap();
        std::fs::write(path(&long), "long").unwrap();
        std::fs::write(path("run.sh"), "#!/bin/sh\necho ran\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path("run.sh"), mode).unwrap();
        std::os::unix::fs::symlink("a/b/big", path("link")).unwrap();
        subject.fill(folder.path()).await;
        let script = format!(
            "wc -c < a/b/big; readlink link; cat {long}; echo; ./run.sh
             echo more >> a/b/big; mkdir a/c; rm link; pwd; ls | wc -l"
        );
        let (end, lines) = subject.play(&subject.step(1, &script), None).await;
        assert_eq!(end, exited(0, ""), "{lines:?}");
        let out = texts(&lines, Voice::Out);
        assert_eq!(
            out,
            ["3000000", "a/b/big", "long", "ran", "/workspace", "3"]
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_handed_to_a_process_is_refused() {
    with_docker(|subject| async move {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")] {
            let mut step = subject.step(1, "echo never");
            step.env.insert(name.into(), value.into());
            let (end, _) = subject.play(&step, None).await;
            assert!(matches!(end, Err(EngineError::Work(_))), "{name:?} {end:?}");
        }
        let long = format!("echo {}", "x".repeat(200_000));
        let (end, _) = subject.play(&subject.step(1, &long), None).await;
        assert!(matches!(end, Err(EngineError::Work(_))), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_job_is_left() {
    with_docker(|subject| async move {
        let (end, _) = subject.play(&subject.step(1, "echo x"), None).await;
        assert_eq!(end, exited(0, ""));
        // A step that was never seen to its end, as after a kill.
        let body = bollard::models::ContainerCreateBody {
            image: Some(subject.image.clone()),
            labels: Some(
                [
                    ("seaworthy.dev/instance", subject.key.instance.to_string()),
                    ("seaworthy.dev/job-id", "7".into()),
                    ("seaworthy.dev/attempt", "1".into()),
                ]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ),
            ..Default::default()
        };
        let docker = subject.engine.docker();
        let made = docker.create_container(None, body).await.unwrap();
        subject.remove().await;
        assert!(docker.inspect_container(&made.id, None).await.is_err());
        let name = subject.key.resource();
        assert!(docker.inspect_volume(&name).await.is_err());
        assert!(docker.inspect_network(&name, None).await.is_err());
        assert_eq!(
            subject.engine.sweep(subject.key.instance, &NONE).await,
            Ok(0)
        );
    })
    .await;
}

/// A way to the engine that can be cut, as a restart of the engine cuts it.
struct Way {
    host: String,
    cut: tokio::sync::watch::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Way {
    async fn to(socket: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let host = format!("unix://{}", path.display());
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let (cut, cuts) = tokio::sync::watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (socket, mut cuts) = (socket.clone(), cuts.clone());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut engine = tokio::net::UnixStream::connect(socket).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self {
            host,
            cut,
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn a_cut_connection_to_the_engine_costs_no_output() {
    with_docker(|mut subject| async move {
        let server = "http://127.0.0.1:1".parse().unwrap();
        let mut config = RunnerConfig::new(server, SecretString::from("none"), "none".into());
        let real = config
            .docker_host
            .clone()
            .unwrap_or_else(|| HOST_DEFAULT.into());
        let Some(socket) = real.strip_prefix("unix://") else {
            eprintln!("SKIPPED: only a local engine's connection can be cut");
            return;
        };
        let way = Way::to(socket.to_owned()).await;
        config.docker_host = Some(way.host.clone());
        subject.engine = DockerEngine::connect(&config).await.unwrap();
        let script =
            "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; exit 4";
        let (log, mut local) = JobLog::local();
        let step_log = log.step(1);
        drop(log);
        let step = subject.step(1, script);
        let stop = CancellationToken::new();
        let run = async {
            let end = subject
                .engine
                .run(&subject.key, &step, &step_log, &stop)
                .await;
            drop(step_log);
            end
        };
        let read = async {
            let mut seen = Vec::new();
            while let Some(bytes) = local.next().await {
                let record = Record::read(bytes.strip_suffix(b"\n").unwrap());
                let text = String::from_utf8_lossy(record.text).into_owned();
                if ["line 10", "line 40"].contains(&text.as_str()) {
                    way.cut.send_replace(());
                }
                seen.push(text);
            }
            seen
        };
        let (end, seen) = tokio::join!(run, read);
        assert_eq!(end, exited(4, "exit code 4"));
        let expected: Vec<String> = (0..60).map(|index| format!("line {index}")).collect();
        assert_eq!(seen, expected);
    })
    .await;
}
