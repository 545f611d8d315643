//! `seaworthy check`: reads pipeline files as the server would, and says what is wrong.

pub(crate) mod event;
pub(crate) mod files;
pub(crate) mod show;

use std::path::{Path, PathBuf};

use pipelines::environment::Environments;
use pipelines::planner::{self, Context};

use crate::Exit;
use event::{EventArgs, EventSpec, Facts};
use show::{Finding, Format, Planned};

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 nothing is wrong; 1 something is; 2 wrong use.")]
pub(crate) struct Args {
    /// Files or folders; a folder means its `.seaworthy/` (or the pipeline files in it).
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Print also what each pipeline does for an event
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    event: EventArgs,
    /// Where copies of other repositories' files are, as OWNER/NAME@REF/PATH
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

/// Prints every problem, and says how many there are.
pub(crate) fn run(args: &Args) -> Exit {
    if args.event.event.is_some() && !args.plan {
        eprintln!("seaworthy: --event says for what to plan: give --plan, too");
        return Exit::Usage;
    }
    let mut files = Vec::new();
    for path in &args.paths {
        match files::find(path) {
            Ok(found) if found.is_empty() => {
                eprintln!(
                    "seaworthy: no pipeline file in {}: write .seaworthy/NAME.yml",
                    path.display()
                );
                return Exit::Usage;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                eprintln!("seaworthy: cannot read {}: {error}", path.display());
                return Exit::Usage;
            }
        }
    }
    files.sort();
    files.dedup();
    let mut findings = Vec::new();
    for file in &files {
        match check(args, file) {
            Ok(found) => findings.push(found),
            Err(words) => {
                eprintln!("seaworthy: {words}");
                return Exit::Usage;
            }
        }
    }
    print!("{}", show::print(args.format, &findings));
    let problems = findings.iter().map(|found| found.problems.len()).sum();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    eprintln!(
        "{} checked, {} found",
        count(files.len(), "file"),
        count(problems, "problem")
    );
    match problems {
        0 => Exit::Done,
        _ => Exit::Failed,
    }
}

fn check(args: &Args, file: &Path) -> Result<Finding, String> {
    let mut found = Finding {
        file: file.to_owned(),
        text: String::new(),
        problems: Vec::new(),
        planned: None,
    };
    match files::read(file) {
        Ok(text) => found.text = text,
        Err(problems) => {
            found.problems = problems;
            return Ok(found);
        }
    }
    if files::is_environments(file) {
        found.problems = Environments::parse(&found.text).err().unwrap_or_default();
        return Ok(found);
    }
    let definition = match files::parse(&found.text, args.templates.as_deref()) {
        Ok(definition) => definition,
        Err(problems) => {
            found.problems = problems;
            return Ok(found);
        }
    };
    let environments = files::environments_beside(file);
    found.problems = planner::check(&definition, environments.as_ref());
    if !args.plan || !found.problems.is_empty() {
        return Ok(found);
    }
    let Some(pipeline) = files::pipeline_name(file) else {
        let file = file.display();
        return Err(format!(
            "{file} cannot be planned: its name is none of a pipeline"
        ));
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let facts = Facts::read(folder.unwrap_or(Path::new(".")))?;
    let spec = args.event.event.clone();
    let context = Context {
        pipeline: &pipeline,
        environments: &environments.unwrap_or_else(Environments::none),
        event: &facts.event(&spec.unwrap_or(EventSpec::Push(None)), &args.event.inputs),
        repository: args.event.repository.as_ref().unwrap_or(&facts.repository),
        changed: &event::changed(&args.event.changed),
    };
    match planner::plan(&definition, &context) {
        Ok(planner::Planned::Run(plan)) => found.planned = Some(Planned::Run(Box::new(plan))),
        Ok(planner::Planned::NotTriggered(reason)) => {
            found.planned = Some(Planned::NotTriggered(reason));
        }
        Err(problems) => found.problems = problems,
    }
    Ok(found)
}
