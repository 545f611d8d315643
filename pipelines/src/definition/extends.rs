//! `extends`: a job that takes what it does not say itself from a template.
//!
//! Templates are put together as trees, before a job is read: what a job may be is said in one place,
//! and a template that makes no sense in a job is told where the job extends it.

use std::collections::BTreeMap;

use super::borrowed::Borrowed;
use super::keys::TEMPLATE_FILE;
use super::problem::Problem;
use super::reader::Reader;
use super::tree::{self, Entry, Kind, Node};
use crate::limits::{EXTENDS_DEPTH_MAX, TEMPLATE_FILES_MAX};
use crate::plan::UsedTemplate;
use crate::template::{Fetched, TemplateSource, Templates};

/// Every template that a file can reach.
pub(crate) struct Shelf<'t> {
    own: &'t [Entry],
    fetched: &'t Templates,
    /// The templates of other repositories' files, once read; an error as a sentence.
    read: BTreeMap<TemplateSource, Result<Vec<Entry>, String>>,
    /// Where templates of other repositories were put in: what is wrong there is theirs.
    pub(crate) borrowed: Borrowed,
}

/// Where a job or template looks for what it extends.
#[derive(Clone, PartialEq)]
struct Name {
    /// None for the file itself.
    source: Option<TemplateSource>,
    name: String,
}

impl Name {
    /// A template by what stands behind `extends` in the file that `here` names.
    fn parse(text: &str, here: Option<&TemplateSource>) -> Result<Name, &'static str> {
        let Some((source, name)) = text.split_once('#') else {
            return match text.contains(['@', ':']) {
                true => Err("say which template of the file: `owner/name@reference:path#template`"),
                false => Ok(Name {
                    source: here.cloned(),
                    name: text.to_owned(),
                }),
            };
        };
        let source = source.parse();
        Ok(Name {
            source: Some(source.map_err(|_| "write `owner/name@reference:path#template`")?),
            name: name.to_owned(),
        })
    }

    fn say(&self) -> String {
        match &self.source {
            Some(source) => format!("{source}#{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl<'t> Shelf<'t> {
    pub(crate) fn new(own: &'t [Entry], fetched: &'t Templates) -> Self {
        Self {
            own,
            fetched,
            read: BTreeMap::new(),
            borrowed: Borrowed::default(),
        }
    }

    /// The files of other repositories that were used.
    pub(crate) fn used(&self) -> Vec<UsedTemplate> {
        let files = self.fetched.iter();
        let used = files.filter(|(source, _)| self.read.contains_key(source));
        let used = used.filter_map(|(source, fetched)| match fetched {
            Fetched::File { commit, .. } => Some(UsedTemplate {
                source: source.to_string(),
                commit: commit.clone(),
            }),
            Fetched::Missing(_) => None,
        });
        used.collect()
    }

    /// The job with what it takes from its template. `None` has been reported.
    pub(crate) fn whole(&mut self, reader: &mut Reader, job: &Entry) -> Option<Entry> {
        self.merged(reader, job, None, &mut Vec::new())
    }

    fn merged(
        &mut self,
        reader: &mut Reader,
        entry: &Entry,
        here: Option<&TemplateSource>,
        trail: &mut Vec<Name>,
    ) -> Option<Entry> {
        let Kind::Mapping(own) = &entry.value.kind else {
            return Some(entry.clone());
        };
        let Some(extends) = own.iter().find(|entry| entry.key == "extends") else {
            return Some(entry.clone());
        };
        let text = reader.plain_text(&extends.value, "`extends`")?;
        let problem = |message: String| Problem::new(text.place, &text.value, message);
        let name = match Name::parse(&text.value, here) {
            Ok(name) => name,
            Err(hint) => {
                reader.report(problem("this names no template".into()).hint(hint));
                return None;
            }
        };
        if trail.contains(&name) {
            let round: Vec<_> = trail.iter().chain([&name]).map(Name::say).collect();
            let round = round.join(" → ");
            reader.report(problem(format!(
                "these templates extend one another: {round}"
            )));
            return None;
        }
        if trail.len() >= EXTENDS_DEPTH_MAX {
            let message = format!(
                "templates extend one another more than {EXTENDS_DEPTH_MAX} deep, which is the limit"
            );
            reader.report(problem(message));
            return None;
        }
        let mut template = match self.find(&name) {
            Ok(template) => template,
            Err((message, near)) => {
                let names = near.iter().map(String::as_str);
                reader.report(problem(message).nearest(&name.name, names));
                return None;
            }
        };
        if let Some(source) = &name.source {
            self.borrowed
                .append(text.place, source, &mut template.value);
        }
        let here = name.source.clone();
        trail.push(name);
        let base = self.merged(reader, &template, here.as_ref(), trail)?;
        trail.pop();
        Some(Entry {
            key: entry.key.clone(),
            place: entry.place,
            value: over(&entry.value, base.value),
        })
    }

    /// The template of that name, or what to say and the names there are.
    fn find(&mut self, name: &Name) -> Result<Entry, (String, Vec<String>)> {
        let entries = match &name.source {
            None => self.own,
            Some(source) => {
                let fetched = self.fetched;
                let read = self.read.entry(source.clone());
                match read.or_insert_with(|| read_file(source, fetched)) {
                    Ok(entries) => entries.as_slice(),
                    Err(words) => return Err((words.clone(), Vec::new())),
                }
            }
        };
        let found = entries.iter().find(|entry| entry.key == name.name);
        found.cloned().ok_or_else(|| {
            let names = entries.iter().map(|entry| entry.key.clone()).collect();
            let message = match &name.source {
                Some(source) => format!("{source} has no template `{}`", name.name),
                None => format!("there is no template `{}` in this file", name.name),
            };
            (message, names)
        })
    }
}

fn read_file(source: &TemplateSource, fetched: &Templates) -> Result<Vec<Entry>, String> {
    let text = match fetched.get(source) {
        Some(Fetched::File { text, .. }) => text,
        Some(Fetched::Missing(reason)) => return Err(format!("{source}: {reason}")),
        None => return Err(format!("{source} has not been fetched")),
    };
    let first = |problems: &[Problem]| match problems.first() {
        Some(problem) => format!("{source}:{problem}"),
        None => format!("{source} cannot be read"),
    };
    let (tree, problems) = tree::read(text).map_err(|problems| first(&problems))?;
    let mut reader = Reader { problems };
    let entries = template_entries(&mut reader, &tree);
    match reader.problems.is_empty() {
        true => Ok(entries),
        false => Err(first(&reader.problems)),
    }
}

/// The templates of a file that holds nothing else, or of a pipeline that has some.
fn template_entries(reader: &mut Reader, tree: &Node) -> Vec<Entry> {
    let is_pipeline = matches!(&tree.kind, Kind::Mapping(entries)
        if entries.iter().any(|entry| entry.key == "jobs"));
    let entries = match is_pipeline {
        true => reader.mapping(tree, "the file"),
        false => {
            reader.fields(tree, &TEMPLATE_FILE);
            reader.mapping(tree, TEMPLATE_FILE.level)
        }
    };
    let templates = entries.and_then(|all| all.iter().find(|entry| entry.key == "templates"));
    match templates {
        Some(templates) => reader
            .mapping(&templates.value, "`templates`")
            .unwrap_or(&[])
            .to_vec(),
        None => Vec::new(),
    }
}

/// `own` over `base`: its keys win, and `env` is joined key by key.
fn over(own: &Node, base: Node) -> Node {
    let (Kind::Mapping(own_entries), Kind::Mapping(mut entries)) = (&own.kind, base.kind.clone())
    else {
        // A template that is no mapping is told of when the job is read.
        return base;
    };
    entries.retain(|entry| entry.key != "extends");
    for entry in own_entries.iter().filter(|entry| entry.key != "extends") {
        match entries.iter_mut().find(|other| other.key == entry.key) {
            Some(other) if entry.key == "env" => {
                other.value = over(&entry.value, other.value.clone());
            }
            Some(other) => *other = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    Node {
        place: own.place,
        kind: Kind::Mapping(entries),
    }
}

/// The files of other repositories that a pipeline file wants, and that have not been fetched; also
/// those that fetched ones want. What cannot be read wants nothing: it is told of by the reading.
pub(crate) fn wanted(text: &str, fetched: &Templates) -> Vec<TemplateSource> {
    let mut all: Vec<TemplateSource> = Vec::new();
    let mut look = |text: &str, keys: &[&str]| {
        let Ok((tree, _)) = tree::read(text) else {
            return;
        };
        let Kind::Mapping(entries) = tree.kind else {
            return;
        };
        for entry in entries
            .iter()
            .filter(|entry| keys.contains(&entry.key.as_str()))
        {
            for source in sources(&entry.value) {
                if !all.contains(&source) && all.len() <= TEMPLATE_FILES_MAX {
                    all.push(source);
                }
            }
        }
    };
    look(text, &["jobs", "templates"]);
    for fetched in fetched.values() {
        if let Fetched::File { text, .. } = fetched {
            look(text, &["templates"]);
        }
    }
    all.retain(|source| !fetched.contains_key(source));
    all
}

fn sources(jobs: &Node) -> Vec<TemplateSource> {
    let Kind::Mapping(jobs) = &jobs.kind else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for job in jobs {
        if let Kind::Mapping(entries) = &job.value.kind
            && let Some(extends) = entries.iter().find(|entry| entry.key == "extends")
            && let Kind::Scalar { text, .. } = &extends.value.kind
            && let Some((source, _)) = text.split_once('#')
        {
            all.extend(source.parse::<TemplateSource>());
        }
    }
    all
}
