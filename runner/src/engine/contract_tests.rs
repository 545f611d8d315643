//! The contract of [`Engine`], told as tests that every engine runs: `scripted` always, `docker`
//! when one answers. `SEAWORTHY_REQUIRE_ENGINES=1` makes a missing engine a failure.

use std::collections::BTreeMap;

use pipelines::log::{Record, Voice};
use secrecy::SecretString;

use super::docker::DockerEngine;
use super::scripted::ScriptedEngine;
use super::*;
use crate::logs::JobLog;

mod docker_only;
mod files;
mod secrets;
mod services;

use files::{
    a_torn_stream_of_files_is_an_error, files_are_put_where_the_steps_see_them,
    files_come_out_under_their_names,
};

/// An engine under test, and what images mean to it.
struct Subject<E> {
    engine: E,
    image: String,
    missing: String,
    unreachable: String,
    key: JobKey,
    _state: tempfile::TempDir,
}

pub(crate) fn key() -> JobKey {
    JobKey {
        instance: Ulid::generate(),
        job: JobId(7),
        attempt: Attempt(1),
        repository: "acme/shop".into(),
        run: "12".into(),
        name: "test".into(),
        volumes: Vec::new(),
    }
}

fn scripted() -> Subject<ScriptedEngine> {
    let state = tempfile::tempdir().unwrap();
    Subject {
        engine: ScriptedEngine::new(state.path().join("scripted")),
        image: "any".into(),
        missing: "missing:1".into(),
        unreachable: "broken:1".into(),
        key: key(),
        _state: state,
    }
}

/// The Docker engine that the environment names. `None`, said loudly, if there is none.
pub(crate) async fn connect_docker() -> Option<DockerEngine> {
    let server = "http://127.0.0.1:1".parse().unwrap();
    let config = RunnerConfig::new(server, SecretString::from("none"), "none".into());
    match DockerEngine::connect(&config).await {
        Ok(engine) => Some(engine),
        Err(error) => {
            let required = std::env::var("SEAWORTHY_REQUIRE_ENGINES").is_ok_and(|v| v == "1");
            assert!(!required, "an engine is required: {error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

async fn docker() -> Option<Subject<DockerEngine>> {
    Some(Subject {
        engine: connect_docker().await?,
        image: "localbase/busybox:1".into(),
        missing: format!("{}/missing/image:1", registry()),
        unreachable: "127.0.0.1:1/some/image:1".into(),
        key: key(),
        _state: tempfile::tempdir().unwrap(),
    })
}

/// The registry beside the Docker engine.
pub(crate) fn registry() -> String {
    std::env::var("DOCKUP_REGISTRY").unwrap_or_else(|_| "127.0.0.1:5050".into())
}

type Lines = Vec<(Voice, Vec<u8>)>;

impl<E: Engine> Subject<E> {
    fn step(&self, step: u32, script: &str) -> StepSpec {
        StepSpec {
            step,
            image: self.image.clone(),
            script: script.into(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
        }
    }

    /// Runs a step to its end; `stop_at` stops it once that line is seen.
    async fn play(
        &self,
        step: &StepSpec,
        stop_at: Option<&str>,
    ) -> (Result<StepEnd, EngineError>, Lines) {
        let stop = CancellationToken::new();
        let (log, mut local) = JobLog::local();
        let step_log = log.step(step.step);
        drop(log);
        let run = async {
            let end = self.engine.run(&self.key, step, &step_log, &stop).await;
            drop(step_log);
            end
        };
        let read = async {
            let mut lines = Vec::new();
            while let Some(bytes) = local.next().await {
                let record = Record::read(bytes.strip_suffix(b"\n").unwrap());
                assert_eq!(record.step, step.step);
                if stop_at.is_some_and(|line| line.as_bytes() == record.text) {
                    stop.cancel();
                }
                lines.push((record.voice, record.text.to_vec()));
            }
            lines
        };
        tokio::join!(run, read)
    }

    fn service(&self, ready: Option<&str>) -> ServiceSpec {
        ServiceSpec {
            name: "db".parse().unwrap(),
            image: self.image.clone(),
            env: BTreeMap::new(),
            ready: ready.map(str::to_owned),
            limit: Duration::from_secs(10),
        }
    }

    /// Starts a service; answers how that ended, and what was logged.
    async fn serve(
        &self,
        service: &ServiceSpec,
        stop: &CancellationToken,
    ) -> (Result<ServiceStart, EngineError>, Lines) {
        let (log, mut local) = JobLog::local();
        let step_log = log.step(1);
        drop(log);
        let run = async {
            let start = self.engine.serve(&self.key, service, &step_log, stop).await;
            drop(step_log);
            start
        };
        let read = async {
            let mut lines = Vec::new();
            while let Some(bytes) = local.next().await {
                let record = Record::read(bytes.strip_suffix(b"\n").unwrap());
                lines.push((record.voice, record.text.to_vec()));
            }
            lines
        };
        tokio::join!(run, read)
    }

    async fn prepared(self) -> Self {
        self.engine.prepare(&self.key).await.unwrap();
        self
    }

    async fn fill(&self, folder: &Path) {
        let (log, _local) = JobLog::local();
        let log = log.step(0);
        let filled = self.engine.fill(&self.key, &self.image, folder, &log);
        filled.await.unwrap();
    }

    async fn remove(&self) {
        self.engine.remove(&self.key).await.unwrap();
    }
}

fn exited(code: i64, reason: &str) -> Result<StepEnd, EngineError> {
    Ok(StepEnd::Exited {
        code,
        reason: (code != 0).then(|| reason.to_owned()),
    })
}

fn texts(lines: &Lines, voice: Voice) -> Vec<String> {
    let of_voice = lines.iter().filter(|(spoke, _)| *spoke == voice);
    of_voice
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .collect()
}

async fn exit_codes_come_back_with_words(subject: Subject<impl Engine>) {
    let (end, lines) = subject.play(&subject.step(1, "echo all well"), None).await;
    assert_eq!(end, exited(0, ""));
    assert_eq!(texts(&lines, Voice::Out), ["all well"]);
    let script = "echo before\nexit 3\necho never";
    let (end, lines) = subject.play(&subject.step(2, script), None).await;
    assert_eq!(end, exited(3, "exit code 3"));
    assert_eq!(texts(&lines, Voice::Out), ["before"]);
}

async fn output_keeps_its_order_and_its_voice(subject: Subject<impl Engine>) {
    let script = "echo one\necho bad >&2\necho two\necho worse >&2\necho three";
    let (end, lines) = subject.play(&subject.step(1, script), None).await;
    assert_eq!(end, exited(0, ""));
    assert_eq!(texts(&lines, Voice::Out), ["one", "two", "three"]);
    assert_eq!(texts(&lines, Voice::Err), ["bad", "worse"]);
}

async fn variables_are_only_ever_text(subject: Subject<impl Engine>) {
    let hostile = "$(id); `id` 'x' && exit 9 #";
    let mut step = subject.step(1, "echo \"$NAME\"");
    step.env.insert("NAME".into(), hostile.into());
    let (end, lines) = subject.play(&step, None).await;
    assert_eq!(end, exited(0, ""));
    assert_eq!(texts(&lines, Voice::Out), [hostile]);
}

async fn steps_share_the_workspace_and_find_the_checkout_in_it(subject: Subject<impl Engine>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("seed"), "from the commit\n").unwrap();
    subject.fill(folder.path()).await;
    let script = "cat seed\necho from step one > made";
    let (end, lines) = subject.play(&subject.step(1, script), None).await;
    assert_eq!(end, exited(0, ""), "{lines:?}");
    assert_eq!(texts(&lines, Voice::Out), ["from the commit"]);
    let (end, lines) = subject.play(&subject.step(2, "cat made"), None).await;
    assert_eq!(end, exited(0, ""));
    assert_eq!(texts(&lines, Voice::Out), ["from step one"]);
}

async fn a_stopped_step_ends_soon_and_keeps_its_output(subject: Subject<impl Engine>) {
    let began = std::time::Instant::now();
    let script = "echo started\nsleep 600\necho never";
    let (end, lines) = subject
        .play(&subject.step(1, script), Some("started"))
        .await;
    assert_eq!(end, Ok(StepEnd::Stopped));
    assert_eq!(texts(&lines, Voice::Out), ["started"]);
    assert!(began.elapsed() < pipelines::limits::STOP_GRACE);
}

async fn images_that_cannot_be_had_blame_the_right_side(subject: Subject<impl Engine>) {
    let mut step = subject.step(1, "echo never");
    step.image.clone_from(&subject.missing);
    let (end, _) = subject.play(&step, None).await;
    assert!(matches!(end, Err(EngineError::Work(_))), "{end:?}");
    step.image.clone_from(&subject.unreachable);
    let (end, _) = subject.play(&step, None).await;
    assert!(
        matches!(end, Err(EngineError::Infrastructure(_))),
        "{end:?}"
    );
}

async fn the_sweep_spares_running_jobs_and_other_runners(subject: Subject<impl Engine>) {
    let engine = &subject.engine;
    let instance = subject.key.instance;
    let mut other = subject.key.clone();
    other.job = JobId(8);
    engine.prepare(&other).await.unwrap();
    let keep = |job, attempt| (job, attempt) == (other.job, other.attempt);
    assert_eq!(engine.sweep(Ulid::generate(), &NONE).await, Ok(0));
    assert!(engine.sweep(instance, &keep).await.unwrap() > 0);
    assert_eq!(engine.sweep(instance, &keep).await, Ok(0));
    assert!(engine.sweep(instance, &NONE).await.unwrap() > 0);
    assert_eq!(engine.sweep(instance, &NONE).await, Ok(0));
}

async fn a_secret_is_a_file_and_a_variable_of_its_step_alone(subject: Subject<impl Engine>) {
    let value = "it's $(a) \"secret\"\\n `x`";
    let mut step = subject.step(1, "cat /run/secrets/npm_token\necho \"$NPM_TOKEN\"");
    step.secrets.push(StepSecret {
        name: "npm_token".parse().unwrap(),
        value: value.into(),
    });
    let (end, lines) = subject.play(&step, None).await;
    assert_eq!(end, exited(0, ""), "{lines:?}");
    // The file has no line end of its own; the log here has no secret registered.
    assert_eq!(
        texts(&lines, Voice::Out).concat(),
        format!("{value}{value}")
    );
    let script = "echo \"$NPM_TOKEN\"\ncat /run/secrets/npm_token";
    let (end, lines) = subject.play(&subject.step(2, script), None).await;
    assert_eq!(end, exited(1, "exit code 1"));
    assert_eq!(texts(&lines, Voice::Out), [""]);
}

async fn a_service_that_does_not_get_ready_is_the_pipelines_fault(subject: Subject<impl Engine>) {
    let mut service = subject.service(Some("exit 1"));
    service.limit = Duration::from_secs(1);
    let (start, _) = subject.serve(&service, &CancellationToken::new()).await;
    let Err(EngineError::Work(text)) = start else {
        panic!("{start:?}");
    };
    assert!(
        text.starts_with("service `db` ") && text.contains("ready"),
        "{text}"
    );
}

async fn a_stop_ends_the_wait_for_a_service(subject: Subject<impl Engine>) {
    let stop = CancellationToken::new();
    stop.cancel();
    let (start, _) = subject.serve(&subject.service(Some("exit 1")), &stop).await;
    assert_eq!(start, Ok(ServiceStart::Stopped));
}

async fn services_whose_images_cannot_be_had_blame_the_right_side(subject: Subject<impl Engine>) {
    let stop = CancellationToken::new();
    let mut service = subject.service(None);
    service.image.clone_from(&subject.missing);
    let (start, _) = subject.serve(&service, &stop).await;
    assert!(matches!(start, Err(EngineError::Work(_))), "{start:?}");
    service.image.clone_from(&subject.unreachable);
    let (start, _) = subject.serve(&service, &stop).await;
    assert!(
        matches!(start, Err(EngineError::Infrastructure(_))),
        "{start:?}"
    );
}

/// Nothing is at work.
const NONE: fn(JobId, Attempt) -> bool = |_, _| false;

async fn preparing_and_removing_may_be_repeated(subject: Subject<impl Engine>) {
    subject.engine.prepare(&subject.key).await.unwrap();
    subject.remove().await;
    subject.remove().await;
    assert_eq!(
        subject.engine.sweep(subject.key.instance, &NONE).await,
        Ok(0)
    );
}

macro_rules! contract {
    ($($name:ident)*) => {
        mod on_scripted {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::scripted().prepared().await).await;
            })*
        }
        mod on_docker {
            $(#[tokio::test]
            async fn $name() {
                let Some(subject) = super::docker().await else { return };
                let (engine, instance) = (subject.engine.clone(), subject.key.instance);
                // In a task, so that nothing stays on the engine when an assertion fails.
                let played = async { super::$name(subject.prepared().await).await };
                let played = tokio::spawn(played).await;
                super::Engine::sweep(&engine, instance, &super::NONE).await.unwrap();
                played.unwrap();
            })*
        }
    };
}

contract! {
    files_come_out_under_their_names
    files_are_put_where_the_steps_see_them
    a_torn_stream_of_files_is_an_error
    exit_codes_come_back_with_words
    output_keeps_its_order_and_its_voice
    variables_are_only_ever_text
    steps_share_the_workspace_and_find_the_checkout_in_it
    a_stopped_step_ends_soon_and_keeps_its_output
    images_that_cannot_be_had_blame_the_right_side
    a_secret_is_a_file_and_a_variable_of_its_step_alone
    a_service_that_does_not_get_ready_is_the_pipelines_fault
    a_stop_ends_the_wait_for_a_service
    services_whose_images_cannot_be_had_blame_the_right_side
    the_sweep_spares_running_jobs_and_other_runners
    preparing_and_removing_may_be_repeated
}
