//! `seaworthy check`: reads pipeline files as the server would, and says what is wrong.

use std::path::{Path, PathBuf};

use pipelines::definition::{Definition, Problem};
use pipelines::environment::Environments;
use pipelines::planner;

use crate::Exit;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files or folders; a folder means its `.seaworthy/` (or the pipeline files in it).
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
}

/// Prints `file:line:column: error: message` and a hint for each problem.
pub(crate) fn run(args: &Args) -> Exit {
    let mut files = Vec::new();
    for path in &args.paths {
        match find(path) {
            Ok(found) if found.is_empty() => {
                eprintln!(
                    "seaworthy: no pipeline file in {}: write .seaworthy/NAME.yml",
                    path.display()
                );
                return Exit::Failed;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                eprintln!("seaworthy: cannot read {}: {error}", path.display());
                return Exit::Failed;
            }
        }
    }
    files.sort();
    files.dedup();
    let problems: usize = files.iter().map(|file| check(file)).sum();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    eprintln!(
        "{} checked, {} found",
        count(files.len(), "file"),
        count(problems, "problem")
    );
    if problems == 0 {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn find(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        // Asked for by name, so it is read whatever it is called, and a missing one is an error.
        return std::fs::metadata(path).map(|_| vec![path.to_owned()]);
    }
    let folder = path.join(".seaworthy");
    let single = path.join(".seaworthy.yml");
    let mut found = Vec::new();
    if single.is_file() {
        found.push(single.clone());
    }
    let folder = if folder.is_dir() {
        folder
    } else {
        path.to_owned()
    };
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        if is_yaml(&file) && file.is_file() && file != single {
            found.push(file);
        }
    }
    Ok(found)
}

fn is_environments(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "environments")
}

fn check(file: &Path) -> usize {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            println!("{}:1:1: error: cannot read it: {error}", file.display());
            return 1;
        }
    };
    let problems = if is_environments(file) {
        Environments::parse(&text).err().unwrap_or_default()
    } else {
        match Definition::parse(&text) {
            Ok(definition) => planner::check(&definition, environments_beside(file).as_ref()),
            Err(problems) => problems,
        }
    };
    problems.iter().for_each(|problem| show(file, problem));
    problems.len()
}

/// The environments the file's deploys name, if the file beside it can be read. What is wrong
/// there is told when that file is checked itself.
fn environments_beside(file: &Path) -> Option<Environments> {
    ["environments.yml", "environments.yaml"]
        .iter()
        .find_map(|name| {
            let text = std::fs::read_to_string(file.with_file_name(name)).ok()?;
            Environments::parse(&text).ok()
        })
}

fn show(file: &Path, problem: &Problem) {
    println!(
        "{}:{}:{}: error: {}",
        file.display(),
        problem.line,
        problem.column,
        problem.message
    );
    if let Some(hint) = &problem.hint {
        println!("  hint: {hint}");
    }
}
