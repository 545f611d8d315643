//! Which plan is run: the pipeline, the event, the jobs, and what takes the place of images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipelines::environment::Environments;
use pipelines::event::GitEvent;
use pipelines::names::{BranchName, JobName, RepoName, SecretName};
use pipelines::plan::{Plan, ReleaseSource, Text, Work};
use pipelines::planner::{self, Context, Planned};
use runner::config::RunnerConfig;
use runner::deploy;

use super::{Args, Unfit};
use crate::check::event::{self, EventSpec, Facts};
use crate::check::{files, show};

/// How long a cluster may take to say that it is there.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(10);

/// A plan, and where it comes from.
pub(super) struct Chosen {
    pub(super) root: PathBuf,
    pub(super) repository: RepoName,
    pub(super) event: GitEvent,
    pub(super) plan: Plan,
    /// For the person who started it.
    pub(super) sentence: String,
}

/// Finds the pipeline and plans it.
pub(super) fn choose(args: &Args) -> Result<Chosen, Unfit> {
    let file = find(args)?;
    let name = files::pipeline_name(&file);
    let name =
        name.ok_or_else(|| Unfit::usage(format!("{} has no pipeline's name", file.display())))?;
    let text = files::read(&file).map_err(|problems| wrong(&file, "", &problems))?;
    let definition = files::parse(&text, args.templates.as_deref());
    let definition = definition.map_err(|problems| wrong(&file, &text, &problems))?;
    let environments = files::environments_beside(&file).unwrap_or_else(Environments::none);
    let facts = Facts::read(&args.directory).map_err(Unfit::failed)?;
    let repository = args
        .event
        .repository
        .clone()
        .unwrap_or(facts.repository.clone());
    let specs = match &args.event.event {
        Some(spec) => vec![spec.clone()],
        None => likely(&facts),
    };
    let mut why_not = String::new();
    for spec in specs {
        let event = facts.event(&spec, &args.event.inputs);
        let context = Context {
            pipeline: &name,
            environments: &environments,
            event: &event,
            repository: &repository,
            changed: &event::changed(&args.event.changed),
        };
        match planner::plan(&definition, &context) {
            Ok(Planned::Run(plan)) => {
                let sentence = format!("{} upon {}", file.display(), words(&event));
                return Ok(Chosen {
                    root: args.directory.clone(),
                    repository,
                    event,
                    plan,
                    sentence,
                });
            }
            Ok(Planned::NotTriggered(reason)) if why_not.is_empty() => why_not = reason,
            Ok(Planned::NotTriggered(_)) => {}
            Err(problems) => return Err(wrong(&file, &text, &problems)),
        }
    }
    Err(Unfit::usage(format!(
        "{} starts nothing: {why_not}",
        file.display()
    )))
}

/// What may be meant where nothing is said, the likeliest first.
fn likely(facts: &Facts) -> Vec<EventSpec> {
    let main: Option<BranchName> = "main".parse().ok();
    let into = main.unwrap_or_else(|| facts.branch.clone());
    let tag = "v0".parse().ok();
    let mut specs = vec![
        EventSpec::Push(None),
        EventSpec::PullRequest(into.clone()),
        EventSpec::Manual,
        EventSpec::Schedule,
        EventSpec::Push(Some(into)),
    ];
    specs.extend(tag.map(EventSpec::Tag));
    specs
}

/// `a push of main`.
fn words(event: &GitEvent) -> String {
    use pipelines::event::EventKind;
    let branch = event.branch.as_ref().map_or("", BranchName::as_str);
    match (event.kind, &event.tag, &event.pull_request) {
        (EventKind::Push, Some(tag), _) => format!("a push of tag {tag}"),
        (EventKind::Push, None, _) => format!("a push of {branch}"),
        (EventKind::PullRequest, _, Some(request)) => {
            format!("a pull request of {branch} into {}", request.base)
        }
        (EventKind::PullRequest, _, None) => "a pull request".to_owned(),
        (EventKind::Schedule, _, _) => format!("its schedule, on {branch}"),
        (EventKind::Manual, _, _) => format!("request, on {branch}"),
    }
}

fn find(args: &Args) -> Result<PathBuf, Unfit> {
    if let Some(named) = &args.pipeline
        && Path::new(named).is_file()
    {
        return Ok(named.into());
    }
    let root = args.directory.display();
    let found = files::find(&args.directory);
    let mut found = found.map_err(|error| Unfit::usage(format!("cannot read {root}: {error}")))?;
    found.retain(|file| !files::is_environments(file));
    let name = |file: &Path| files::pipeline_name(file).map(|name| name.to_string());
    let names: Vec<String> = found.iter().filter_map(|file| name(file)).collect();
    match (&args.pipeline, found.as_slice()) {
        (_, []) => Err(Unfit::usage(format!(
            "no pipeline file in {root}: write .seaworthy/NAME.yml"
        ))),
        (None, [file]) => Ok(file.clone()),
        (None, _) => Err(Unfit::usage(format!(
            "which pipeline? There are {}",
            names.join(", ")
        ))),
        (Some(wanted), files) => {
            let mut files = files.iter();
            let found = files.find(|file| name(file).as_deref() == Some(wanted));
            found.cloned().ok_or_else(|| {
                Unfit::usage(format!(
                    "there is no pipeline `{wanted}` in {root}; there are {}",
                    names.join(", ")
                ))
            })
        }
    }
}

fn wrong(file: &Path, text: &str, problems: &[pipelines::definition::Problem]) -> Unfit {
    for problem in problems {
        eprint!("{}", show::human_problem(file, text, problem));
    }
    Unfit::failed(format!("{} cannot be run", file.display()))
}

/// Leaves out all jobs but the named ones and what they need.
pub(super) fn keep_only(plan: &mut Plan, names: &[JobName]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    let mut wanted = BTreeSet::new();
    for name in names {
        let jobs = plan.jobs.iter();
        let meant = jobs.filter(|job| job.name == *name || job.group == *name);
        let before = wanted.len();
        wanted.extend(meant.map(|job| job.name.clone()));
        if wanted.len() == before {
            let known: Vec<_> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
            return Err(format!(
                "there is no job `{name}`; there are {}",
                known.join(", ")
            ));
        }
    }
    loop {
        let of_wanted = plan.jobs.iter().filter(|job| wanted.contains(&job.name));
        let more: Vec<JobName> = of_wanted.flat_map(|job| job.needs.clone()).collect();
        let before = wanted.len();
        wanted.extend(more);
        if wanted.len() == before {
            break;
        }
    }
    plan.jobs.retain(|job| wanted.contains(&job.name));
    Ok(())
}

/// Puts other images in the place of those that steps and services name; `*` stands for all that
/// are not named themselves, but not for what an earlier job of the run makes.
pub(super) fn swap_images(plan: &mut Plan, images: &[(String, String)]) {
    let swap = |image: &mut Text| {
        let Some(known) = image.known() else { return };
        let named = |wanted: &str| images.iter().find(|(name, _)| name == wanted);
        if let Some((_, other)) = named(known).or_else(|| named("*")) {
            *image = Text::from(other.as_str());
        }
    };
    for job in &mut plan.jobs {
        if let Work::Steps(work) = &mut job.work {
            work.steps.iter_mut().for_each(|step| swap(&mut step.image));
            let services = work.services.iter_mut();
            services.for_each(|service| swap(&mut service.image));
        }
    }
}

/// Builds images for the engine's own platform alone: what is not pushed runs nowhere else.
pub(super) fn build_for_here(plan: &mut Plan) {
    for job in &mut plan.jobs {
        if let Work::Build(work) = &mut job.work {
            work.platforms.clear();
        }
    }
}

/// Whether a deploy takes an image that a job of this run builds.
pub(super) fn deploys_a_built_image(plan: &Plan) -> bool {
    let mut jobs = plan.jobs.iter().filter(|job| job.skip.is_none());
    jobs.any(|job| match &job.work {
        Work::Deploy(work) => match &work.source {
            ReleaseSource::Manifests { images, .. } => !images.is_empty(),
            ReleaseSource::Promote { .. } | ReleaseSource::Stored { .. } => false,
        },
        Work::Steps(_) | Work::Build(_) => false,
    })
}

/// Leaves deploys out that no cluster can rehearse.
pub(super) async fn skip_unreachable(plan: &mut Plan, config: &RunnerConfig) {
    let is_deploy = |work: &Work| matches!(work, Work::Deploy(_));
    let mut jobs = plan.jobs.iter();
    if !jobs.any(|job| job.skip.is_none() && is_deploy(&job.work)) {
        return;
    }
    let asked = deploy::why_unreachable(config.kubeconfig.as_deref());
    let why = match tokio::time::timeout(CLUSTER_PATIENCE, asked).await {
        Ok(None) => return,
        Ok(Some(why)) => why,
        Err(_) => format!("no cluster answers within {} s", CLUSTER_PATIENCE.as_secs()),
    };
    for job in &mut plan.jobs {
        if job.skip.is_none() && is_deploy(&job.work) {
            job.skip = Some(format!("it cannot be rehearsed: {why}"));
        }
    }
}

/// The secrets that the work names.
pub(super) fn named_secrets(plan: &Plan) -> BTreeSet<SecretName> {
    let mut names = BTreeSet::new();
    for job in plan.jobs.iter().filter(|job| job.skip.is_none()) {
        match &job.work {
            Work::Steps(work) => {
                names.extend(work.steps.iter().flat_map(|step| step.secrets.clone()));
            }
            Work::Build(work) => names.extend(work.secrets.clone()),
            Work::Deploy(_) => {}
        }
    }
    names
}
