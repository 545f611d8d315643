//! Services in real containers.

use bollard::models::{ContainerConfig, ContainerCreateBody, HealthConfig};
use bollard::query_parameters::{CommitContainerOptionsBuilder, RemoveImageOptions};

use super::docker_only::with_docker;
use super::*;

/// A service whose image runs `script`. The image goes with [`Made::remove`].
struct Made {
    spec: ServiceSpec,
    docker: bollard::Docker,
}

impl Made {
    async fn new(subject: &Subject<DockerEngine>, script: &str, check: Option<&str>) -> Self {
        let docker = subject.engine.docker();
        let body = ContainerCreateBody {
            image: Some(subject.image.clone()),
            ..Default::default()
        };
        let made = docker.create_container(None, body).await.unwrap();
        let name = format!("localbase/service-{}", Ulid::generate()).to_lowercase();
        let options = CommitContainerOptionsBuilder::default()
            .container(&made.id)
            .repo(&name)
            .tag("1")
            .build();
        let config = ContainerConfig {
            cmd: Some(["/bin/sh", "-c", script].map(str::to_owned).into()),
            healthcheck: check.map(|check| HealthConfig {
                test: Some(vec!["CMD-SHELL".into(), check.into()]),
                interval: Some(100_000_000),
                timeout: Some(1_000_000_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        docker.commit_container(options, config).await.unwrap();
        docker.remove_container(&made.id, None).await.unwrap();
        let mut spec = subject.service(None);
        spec.image = format!("{name}:1");
        Self { spec, docker }
    }

    async fn remove(self, subject: &Subject<DockerEngine>) {
        subject.remove().await;
        let none = None::<RemoveImageOptions>;
        let removed = self.docker.remove_image(&self.spec.image, none, None).await;
        removed.unwrap();
    }
}

fn shown(lines: &Lines) -> Vec<String> {
    let lines = lines.iter();
    lines
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .collect()
}

#[tokio::test]
async fn a_step_reaches_a_service_under_its_name_once_that_says_it_is_ready() {
    with_docker(|subject| async move {
        let script = "sleep 0.5; touch up; while :; do echo \"hello from $WHO\" | nc -l -p 8000; done";
        let mut made = Made::new(&subject, script, None).await;
        made.spec.ready = Some("test -e /up".into());
        made.spec.env.insert("WHO".into(), "db".into());
        let (start, lines) = subject.serve(&made.spec, &CancellationToken::new()).await;
        assert_eq!(start, Ok(ServiceStart::Ready), "{lines:?}");
        // Busybox resolves names by itself only in `nslookup`.
        let script = "ip=$(nslookup db 127.0.0.11 | awk '/^Address/ { last = $2 } END { print last }')\n\
                      nc \"${ip%%:53}\" 8000";
        let (end, lines) = subject.play(&subject.step(2, script), None).await;
        assert_eq!(end, exited(0, ""), "{lines:?}");
        assert_eq!(texts(&lines, Voice::Out), ["hello from db"]);
        made.remove(&subject).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_ends_before_it_is_ready_says_its_last_words() {
    with_docker(|subject| async move {
        let script = "echo starting; sleep 0.3; echo no room left >&2; exit 3";
        let mut made = Made::new(&subject, script, None).await;
        made.spec.ready = Some("exit 1".into());
        let (start, lines) = subject.serve(&made.spec, &CancellationToken::new()).await;
        let text = "service `db` ended with exit code 3 before it was ready: no room left";
        assert_eq!(start, Err(EngineError::Work(text.into())));
        let mut shown = shown(&lines);
        shown.sort();
        let expected = [
            "no room left",
            "starting",
            "the last lines of service `db`:",
        ];
        assert_eq!(shown, expected);
        made.remove(&subject).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_takes_too_long_says_what_it_was_asked() {
    with_docker(|subject| async move {
        let mut made = Made::new(&subject, "echo begun; sleep 600", None).await;
        made.spec.ready = Some("echo not there >&2; exit 2".into());
        made.spec.limit = Duration::from_secs(1);
        let (start, _) = subject.serve(&made.spec, &CancellationToken::new()).await;
        let text = "service `db` was not ready within its 1 s: `echo not there >&2; exit 2` \
                    ended with exit code 2: not there: begun";
        assert_eq!(start, Err(EngineError::Work(text.into())));
        made.remove(&subject).await;
    })
    .await;
}

#[tokio::test]
async fn the_health_check_of_an_image_says_when_it_is_ready() {
    with_docker(|subject| async move {
        let made = Made::new(
            &subject,
            "sleep 0.5; touch /up; sleep 600",
            Some("test -e /up"),
        )
        .await;
        let (start, _) = subject.serve(&made.spec, &CancellationToken::new()).await;
        assert_eq!(start, Ok(ServiceStart::Ready));
        let name = format!("{}-service-db", subject.key.resource());
        let found = made.docker.inspect_container(&name, None).await.unwrap();
        let health = found.state.unwrap().health.unwrap();
        assert_eq!(
            health.status,
            Some(bollard::models::HealthStatusEnum::HEALTHY)
        );
        made.remove(&subject).await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_service_is_told_with_its_last_lines() {
    with_docker(|subject| async move {
        let made = Made::new(&subject, "sleep 0.3; echo out of luck; exit 4", None).await;
        let (start, _) = subject.serve(&made.spec, &CancellationToken::new()).await;
        assert_eq!(start, Ok(ServiceStart::Ready));
        let (log, mut local) = JobLog::local();
        let step = log.step(1);
        drop(log);
        let told = subject.engine.attend(&subject.key, &made.spec, &step).await;
        drop(step);
        assert_eq!(told, Ok("service `db` ended with exit code 4".into()));
        let mut lines = Vec::new();
        while let Some(bytes) = local.next().await {
            let record = Record::read(bytes.strip_suffix(b"\n").unwrap());
            lines.push(String::from_utf8_lossy(record.text).into_owned());
        }
        let expected = [
            "service `db` ended with exit code 4",
            "the last lines of service `db`:",
            "out of luck",
        ];
        assert_eq!(lines, expected);
        made.remove(&subject).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_may_become_another_user_and_nothing_more() {
    with_docker(|subject| async move {
        let made = Made::new(&subject, "sleep 600", None).await;
        let (start, _) = subject.serve(&made.spec, &CancellationToken::new()).await;
        assert_eq!(start, Ok(ServiceStart::Ready));
        let name = format!("{}-service-db", subject.key.resource());
        let found = made.docker.inspect_container(&name, None).await.unwrap();
        let host = found.host_config.unwrap();
        let added: Vec<String> = host.cap_add.unwrap_or_default();
        // Engines of some versions write their names with `CAP_`.
        let mut added: Vec<_> = added
            .iter()
            .map(|name| name.trim_start_matches("CAP_"))
            .collect();
        added.sort_unstable();
        let expected = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];
        assert_eq!(added, expected);
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.memory, Some(pipelines::limits::STEP_MEMORY_BYTES));
        assert_eq!(host.pids_limit, Some(pipelines::limits::STEP_PIDS));
        assert_eq!(found.mounts.unwrap_or_default(), []);
        made.remove(&subject).await;
    })
    .await;
}
