//! `seaworthy exec`: runs the working tree's pipeline on this machine, without a server.

mod plan;
mod secrets;
mod show;
mod words;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pipelines::event::GitEvent;
use pipelines::ids::RunNumber;
use pipelines::job::State;
use pipelines::names::{JobName, RepoName, SecretName};
use pipelines::plan::{Plan, Work};
use pipelines::wire::RunFacts;
use runner::config::{EngineChoice, RunnerConfig};
use runner::desk::LocalStore;
use runner::execute::{Host, Reach};
use runner::local::{self, LocalFolder, LocalRun, tree};
use tokio::sync::mpsc;

use crate::check::event::EventArgs;
use crate::{Exit, signals};
use secrets::SecretArg;
use show::Show;

/// What to run, and how.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all that ran has passed; 1 something failed; 2 wrong use; 130 interrupted."
)]
pub(crate) struct Args {
    /// The pipeline's name, or its file; not needed where there is only one
    pipeline: Option<String>,
    /// The root of the working tree
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Run only this job and those it needs; may be given again
    #[arg(long = "job", value_name = "NAME")]
    jobs: Vec<JobName>,
    #[command(flatten)]
    event: EventArgs,
    /// Give a secret: the value of the variable of that name in upper case, or of a file
    #[arg(long = "secret", value_name = "NAME or NAME=@FILE")]
    secrets: Vec<SecretArg>,
    /// Use another image in place of the one that steps and services name; `*` is any other
    #[arg(long = "image", value_name = "NAME=OTHER", value_parser = pair)]
    images: Vec<(String, String)>,
    /// Push built images; without it they stay on the engine until the run ends
    #[arg(long)]
    push: bool,
    /// Deploy; without it deploys are only rehearsed by the cluster, which writes nothing
    #[arg(long)]
    deploy: bool,
    /// Show every line of every log
    #[arg(long, short)]
    verbose: bool,
    /// Copy artifacts here, into a folder for each job
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// How many jobs run at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=24))]
    slots: u16,
    /// Where steps run
    #[arg(long, value_enum, default_value = "docker")]
    engine: EngineChoice,
    /// Where copies of other repositories' files are, as OWNER/NAME@REF/PATH
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Where caches are kept between runs [default: ~/.cache/seaworthy/exec]
    #[arg(long, value_name = "DIR", env = "SEAWORTHY_EXEC_DIR")]
    cache_dir: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|pair| !pair.0.is_empty());
    let (name, other) = pair.ok_or("it must be NAME=OTHER")?;
    Ok((name.to_owned(), other.to_owned()))
}

/// Why nothing was run.
pub(crate) struct Unfit(Exit, String);

impl Unfit {
    fn usage(words: impl Into<String>) -> Self {
        Self(Exit::Usage, words.into())
    }
    fn failed(words: impl Into<String>) -> Self {
        Self(Exit::Failed, words.into())
    }
}

/// Runs it.
pub(crate) async fn run(args: Args) -> Exit {
    start_logging();
    match whole(&args).await {
        Ok(exit) => exit,
        Err(Unfit(exit, words)) => {
            eprintln!("seaworthy: {words}");
            exit
        }
    }
}

/// What the runner has to say beside the jobs' own words would break the picture.
fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

async fn whole(args: &Args) -> Result<Exit, Unfit> {
    let secrets = secrets::read(&args.secrets).map_err(Unfit::usage)?;
    let chosen = plan::choose(args)?;
    let mut plan = chosen.plan;
    plan::keep_only(&mut plan, &args.jobs).map_err(Unfit::usage)?;
    plan::swap_images(&mut plan, &args.images);
    if !args.push {
        plan::build_for_here(&mut plan);
    }
    let base = match &args.cache_dir {
        Some(base) => base.clone(),
        None => default_base().map_err(Unfit::usage)?,
    };
    let folder = LocalFolder::create(&base).map_err(|error| Unfit::failed(format!("{error:#}")))?;
    let mut config = RunnerConfig::local(folder.path().to_owned());
    config.engine = args.engine;
    if args.deploy && !args.push && plan::deploys_a_built_image(&plan) {
        let words = "--deploy needs --push: the cluster cannot have an image of this engine";
        return Err(Unfit::usage(words));
    }
    if !args.deploy {
        plan::skip_unreachable(&mut plan, &config).await;
    }
    let mut show = Show::new(args.verbose, &plan);
    show.say(&chosen.sentence);
    for words in announcements(args, &plan, &secrets) {
        show.say(&words);
    }
    let swept = local::sweep(&base, &config).await;
    if swept > 0 {
        show.say(&format!("removed what {swept} killed runs had left"));
    }
    let tree = folder.path().join("tree");
    copy_tree(&chosen.root, &tree)
        .await
        .map_err(|error| Unfit::failed(format!("{error:#}")))?;
    let reach = Reach {
        push: args.push,
        deploy: args.deploy,
    };
    let host = Host::local(config, &folder, reach);
    let local = LocalRun {
        plan,
        facts: facts(&chosen.root, chosen.repository, chosen.event),
        tree,
        secrets,
        slots: args.slots.into(),
        store: LocalStore::new(base.join("caches"), args.artifacts.clone()),
    };
    Ok(watch(host, local, show).await)
}

/// Runs the jobs, and shows what they tell.
async fn watch(host: Host, local: LocalRun, mut show: Show) -> Exit {
    let (news, mut hear) = mpsc::unbounded_channel();
    let stop = signals::shutdown();
    let mut running = tokio::spawn(local::run(host, local, news, stop.clone()));
    let mut asked = false;
    let mut beat = tokio::time::interval(show::REDRAW);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            biased;
            Some(news) = hear.recv() => show.hear(news),
            ended = &mut running => break ended,
            () = stop.cancelled(), if !asked => {
                asked = true;
                show.say("stopping; press again to leave everything as it is");
            }
            _ = beat.tick() => show.redraw(),
        }
    };
    while let Ok(news) = hear.try_recv() {
        show.hear(news);
    }
    let run = match ended {
        Ok(run) => run,
        Err(error) => {
            show.say(&format!("the run broke down: {error}"));
            return Exit::Failed;
        }
    };
    show.finish(&run);
    match run.state() {
        _ if stop.is_cancelled() => Exit::Interrupted,
        State::Passed | State::Skipped => Exit::Done,
        State::Waiting
        | State::Queued
        | State::Running
        | State::Failed
        | State::Cancelled
        | State::TimedOut
        | State::InfrastructureError
        | State::Superseded => Exit::Failed,
    }
}

/// What a person should know before it begins.
fn announcements(
    args: &Args,
    plan: &Plan,
    secrets: &std::collections::BTreeMap<SecretName, String>,
) -> Vec<String> {
    let mut words = Vec::new();
    let planned = || plan.jobs.iter().filter(|job| job.skip.is_none());
    if !args.push && planned().any(|job| matches!(job.work, Work::Build(_))) {
        words.push("images are built for this machine and not pushed: --push would".to_owned());
    }
    if !args.deploy && planned().any(|job| matches!(job.work, Work::Deploy(_))) {
        words.push("deploys are rehearsed and write nothing: --deploy would".to_owned());
    }
    let missing: Vec<String> = plan::named_secrets(plan)
        .into_iter()
        .filter(|name| !secrets.contains_key(name))
        .map(|name| name.to_string())
        .collect();
    if !missing.is_empty() {
        let names = missing.join(", ");
        words.push(format!(
            "goes on without the secrets {names}: --secret NAME gives one"
        ));
    }
    words
}

async fn copy_tree(root: &Path, to: &Path) -> anyhow::Result<()> {
    let (from, to) = (root.to_owned(), to.to_owned());
    let copied = tokio::task::spawn_blocking(move || tree::snapshot(&from, &to)).await?;
    copied.with_context(|| format!("cannot copy the tree at {}", root.display()))?;
    Ok(())
}

fn facts(root: &Path, repository: RepoName, event: GitEvent) -> RunFacts {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    RunFacts {
        repository,
        number: RunNumber(1),
        commit: event.commit,
        branch: event.branch,
        tag: event.tag,
        pull_request: event.pull_request.map(|request| request.number),
        event: event.kind,
        author: event.author,
        url: format!("file://{}", root.display()),
    }
}

/// `$XDG_CACHE_HOME/seaworthy/exec`, or below `~/.cache`.
fn default_base() -> Result<PathBuf, String> {
    let variable = |name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let cache = cache.ok_or("neither HOME nor --cache-dir says where to keep caches")?;
    Ok(cache.join("seaworthy/exec"))
}
