//! Pipeline files of a working tree, and what is read along with them.

use std::io;
use std::path::{Path, PathBuf};

use pipelines::definition::{Definition, Problem};
use pipelines::environment::Environments;
use pipelines::limits::TEMPLATE_FILES_MAX;
use pipelines::names::{CommitSha, PipelineName};
use pipelines::template::{Fetched, TemplateSource, Templates};

/// The file of a repository that has only one pipeline.
const SINGLE: &str = ".seaworthy.yml";
/// The folder of a repository's pipelines.
const FOLDER: &str = ".seaworthy";

/// The pipeline files of a path, the environments file among them: the path itself if it is a file;
/// what a server would read if it is a repository's root; else every YAML file in the folder.
pub(crate) fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        // Asked for by name, so it is read whatever it is called, and a missing one is an error.
        return std::fs::metadata(path).map(|_| vec![path.to_owned()]);
    }
    let single = path.join(SINGLE);
    let mut found = Vec::new();
    if single.is_file() {
        found.push(single.clone());
    }
    let folder = path.join(FOLDER);
    // A folder that is no repository's root stands for itself.
    let is_root = folder.is_dir() || !found.is_empty();
    let folder = if is_root { folder } else { path.to_owned() };
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            if is_yaml(&file) && file.is_file() && file != single {
                found.push(file);
            }
        }
    }
    found.sort();
    // As people write them: `.seaworthy/ci.yml`, not `./.seaworthy/ci.yml`.
    let plain = |file: PathBuf| match file.strip_prefix(".") {
        Ok(plain) => plain.to_owned(),
        Err(_) => file,
    };
    Ok(found.into_iter().map(plain).collect())
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// Whether it says where to deploy, and not what to do.
pub(crate) fn is_environments(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "environments")
}

/// What the server calls the pipeline of this file.
pub(crate) fn pipeline_name(file: &Path) -> Option<PipelineName> {
    if file.file_name().is_some_and(|name| name == SINGLE) {
        return "default".parse().ok();
    }
    file.file_stem()?.to_str()?.parse().ok()
}

/// Reads a text file; the problem of one that is none stands at its beginning.
pub(crate) fn read(file: &Path) -> Result<String, Vec<Problem>> {
    std::fs::read_to_string(file).map_err(|error| {
        vec![Problem {
            line: 1,
            column: 1,
            text: String::new(),
            message: format!("cannot read it: {error}"),
            hint: None,
        }]
    })
}

/// Reads a pipeline, with templates of other repositories from below `templates`.
pub(crate) fn parse(text: &str, templates: Option<&Path>) -> Result<Definition, Vec<Problem>> {
    Definition::parse_with(text, &fetch(text, templates))
}

/// The environments beside a pipeline file, if they can be read. What is wrong there is told when
/// that file is checked itself.
pub(crate) fn environments_beside(file: &Path) -> Option<Environments> {
    let folder = match file.file_name().is_some_and(|name| name == SINGLE) {
        true => file.with_file_name(FOLDER),
        false => file.parent()?.to_owned(),
    };
    let names = ["environments.yml", "environments.yaml"];
    let text = names
        .iter()
        .find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
    Environments::parse(&text).ok()
}

/// The files of other repositories that a pipeline wants, and what those want.
fn fetch(text: &str, folder: Option<&Path>) -> Templates {
    let mut templates = Templates::new();
    loop {
        let wanted = Definition::wanted(text, &templates);
        if wanted.is_empty() || templates.len() > TEMPLATE_FILES_MAX {
            return templates;
        }
        for source in wanted {
            let found = find_template(&source, folder);
            templates.insert(source, found);
        }
    }
}

/// `acme/pipelines@v3:rust.yml` is `acme/pipelines@v3/rust.yml` below the folder, or, for a folder
/// of plain checkouts, `acme/pipelines/rust.yml`.
fn find_template(source: &TemplateSource, folder: Option<&Path>) -> Fetched {
    let exact = format!("{}@{}/{}", source.repository, source.reference, source.path);
    let Some(folder) = folder else {
        return Fetched::Missing(format!(
            "it cannot be fetched here: give a copy as DIR/{exact} with --templates DIR"
        ));
    };
    let plain = format!("{}/{}", source.repository, source.path);
    let text = [&exact, &plain]
        .iter()
        .find_map(|path| std::fs::read_to_string(folder.join(path)).ok());
    match (text, no_commit()) {
        (Some(text), Some(commit)) => Fetched::File { commit, text },
        (_, _) => Fetched::Missing(format!(
            "it cannot be fetched here, and there is no {}",
            folder.join(exact).display()
        )),
    }
}

/// The commit of what was never committed.
pub(crate) fn no_commit() -> Option<CommitSha> {
    "0".repeat(40).parse().ok()
}
