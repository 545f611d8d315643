//! `seaworthy import`: translates the file of another system into a pipeline file of ours.

use std::path::{Path, PathBuf};

use pipelines::definition::Definition;
use pipelines::import::{Imported, Kind, import};

use crate::Exit;

/// What to translate, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What could not be translated is told on standard error, line by line.\n\
                  Exit codes: 0 a file was written; 1 nothing could be translated; 2 wrong use."
)]
pub(crate) struct Args {
    /// `.travis.yml`, `.woodpecker.yml`, a workflow, `.gitlab-ci.yml` or a Jenkinsfile
    file: PathBuf,
    /// Whose file it is; guessed if this is not given
    #[arg(long, value_name = "SYSTEM", value_parser = system)]
    from: Option<Kind>,
    /// Where to write, or `-` for standard output; otherwise `.seaworthy/NAME.yml` of the repository
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

fn system(text: &str) -> Result<Kind, String> {
    let names = Kind::ALL.map(Kind::as_str);
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("known are {}", names.join(", ")))
}

/// Translates the file, and says what of it could not be.
pub(crate) fn run(args: &Args) -> Exit {
    let shown = args.file.display();
    let text = match std::fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("seaworthy: cannot read {shown}: {error}");
            return Exit::Usage;
        }
    };
    // Whose file it is may show only by the folders it is in.
    let path = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let place = path.to_string_lossy();
    let Some(kind) = args.from.or_else(|| Kind::guess(&place, &text)) else {
        eprintln!("seaworthy: whose file {shown} is does not show: say it with --from SYSTEM");
        return Exit::Usage;
    };
    let imported = match import(kind, &text) {
        Ok(imported) => imported,
        Err(problems) => {
            for problem in problems {
                let hint = problem.hint.map(|hint| format!(", {hint}"));
                let hint = hint.unwrap_or_default();
                eprintln!("{shown}:{}: {}{hint}", problem.line, problem.message);
            }
            return Exit::Failed;
        }
    };
    let output = match &args.output {
        Some(output) => output.clone(),
        None => {
            let name = format!("{}.yml", kind.pipeline_name(&place));
            root_of(&path).join(".seaworthy").join(name)
        }
    };
    if let Err(words) = write(&output, &imported, args.force) {
        eprintln!("seaworthy: {words}");
        return Exit::Usage;
    }
    tell(args, &output, &imported);
    Exit::Done
}

/// The folder of the repository: the nearest with `.git`, or where the file's system looks for it.
fn root_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("."));
    let root = folder.ancestors().find(|one| one.join(".git").exists());
    root.unwrap_or_else(|| {
        let name = |one: &Path| one.file_name().unwrap_or_default().to_owned();
        match folder.parent() {
            Some(above) if name(folder) == ".woodpecker" => above,
            Some(above) if name(folder) == "workflows" => above.parent().unwrap_or(above),
            Some(_) | None => folder,
        }
    })
    .to_owned()
}

/// Where it is written, in words: seen from here if it is below.
fn said(output: &Path) -> String {
    if output == Path::new("-") {
        return "standard output".into();
    }
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| output.strip_prefix(here).ok().map(Path::to_owned));
    below.as_deref().unwrap_or(output).display().to_string()
}

fn write(output: &Path, imported: &Imported, force: bool) -> Result<(), String> {
    if output == Path::new("-") {
        print!("{}", imported.file);
        return Ok(());
    }
    let shown = said(output);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{shown} is there already: give --force to write over it, or --output PATH")
        }
        _ => format!("cannot write {shown}: {error}"),
    };
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(!force);
    let options = options.create(force).truncate(force);
    let mut file = options.open(output).map_err(failed)?;
    std::io::Write::write_all(&mut file, imported.file.as_bytes()).map_err(failed)
}

/// Says what was not translated, what our own reader would refuse, and the counts.
fn tell(args: &Args, output: &Path, imported: &Imported) {
    let shown = args.file.display();
    for note in &imported.notes {
        eprintln!(
            "{shown}:{}: {}: {}, {}",
            note.line, note.what, note.why, note.hint
        );
    }
    let refused = Definition::parse(&imported.file).err().unwrap_or_default();
    for problem in &refused {
        let place = format!("{}:{}:{}", said(output), problem.line, problem.column);
        eprintln!("{place}: error: {}", problem.message);
    }
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    eprintln!(
        "{} written to {}, {} for you to look at",
        count(imported.jobs, "job"),
        said(output),
        count(imported.notes.len() + refused.len(), "note")
    );
}

#[cfg(test)]
mod tests;
