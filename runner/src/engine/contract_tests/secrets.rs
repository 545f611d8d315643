//! Where the secrets of a step can be seen, and where not.

use super::docker_only::with_docker;
use super::*;

const VALUE: &str = "s3cr3t-that-nobody-sees";

fn secret(name: &str, value: &str) -> StepSecret {
    StepSecret {
        name: name.parse().unwrap(),
        value: value.into(),
    }
}

/// The arguments of every process of this machine.
fn arguments() -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // A process may end while it is looked at.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        all.push_str(&String::from_utf8_lossy(&line));
    }
    all
}

#[tokio::test]
async fn a_secret_is_in_no_argument_no_setting_of_a_container_and_no_volume() {
    with_docker(|subject| async move {
        let mut step = subject.step(1, "cp -r . /tmp/copy; echo here is $SEEN_TOKEN; sleep 600");
        step.secrets.push(secret("seen_token", VALUE));
        let (stop, name) = (CancellationToken::new(), subject.key.resource());
        let (log, mut local) = JobLog::local();
        let step_log = log.step(1);
        let run = subject.engine.run(&subject.key, &step, &step_log, &stop);
        let look = async {
            let line = local.next().await.unwrap();
            let docker = subject.engine.docker();
            let seen = docker.inspect_container(&format!("{name}-1"), None).await;
            let volume = docker.inspect_volume(&name).await.unwrap();
            let arguments = arguments();
            stop.cancel();
            (line, format!("{:?} {volume:?}", seen.unwrap()), arguments)
        };
        let (_, (line, settings, arguments)) = tokio::join!(run, look);
        // It was there: the step has said it, into a log that has no secret to hide.
        assert!(String::from_utf8_lossy(&line).contains(VALUE));
        assert!(settings.contains("/run/secrets") && arguments.contains("sleep"));
        assert!(!settings.contains(VALUE), "{settings}");
        assert!(!arguments.contains(VALUE));
        let (end, lines) = subject
            .play(&subject.step(2, "ls -A; ls /run/secrets; env"), None)
            .await;
        assert_eq!(end, exited(1, "exit code 1"), "{lines:?}");
        let shown = format!("{:?}", texts(&lines, Voice::Out));
        assert!(!shown.to_lowercase().contains("token"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn any_user_of_an_image_can_read_its_secrets_and_change_nothing_else() {
    with_docker(|subject| async move {
        let script = "stat -c '%a %U' /run/secrets/a; touch made; stat -c %a made; mount | grep -c 'tmpfs on /run/secrets'; wc -c < /run/secrets/b; read x || echo nothing to read";
        let mut step = subject.step(1, script);
        step.secrets.push(secret("a", VALUE));
        step.secrets.push(secret("b", &"line of a long one\n".repeat(2000)));
        let (end, lines) = subject.play(&step, None).await;
        assert_eq!(end, exited(0, ""), "{lines:?}");
        let expected = ["400 root", "644", "1", "38000", "nothing to read"];
        assert_eq!(texts(&lines, Voice::Out), expected);
    })
    .await;
}

#[tokio::test]
async fn what_a_variable_cannot_hold_is_refused_without_being_said() {
    with_docker(|subject| async move {
        let mut step = subject.step(1, "echo never");
        step.secrets.push(secret("a", "bad\0value"));
        let (end, lines) = subject.play(&step, None).await;
        let text = "the secret `a` has a NUL byte in it: a variable cannot hold it";
        assert_eq!(end, Err(EngineError::Work(text.into())));
        assert_eq!(lines, []);
    })
    .await;
}
