//! The deploy targets of a repository and their rules: `.seaworthy/environments.yml`.
//!
//! The file is read from the default branch only, so a pull request cannot loosen it.

use crate::definition::{At, ENVIRONMENT_KEYS, Entry, Place, Problem, Reader, read_tree, tidy};
use crate::graph::Graph;
use crate::limits::ENVIRONMENTS_MAX;
use crate::names::{EnvironmentName, Namespace};
use crate::pattern::Patterns;
use crate::plan::OnFailure;

/// One deploy target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// The namespace it means in the cluster of the runner that serves it.
    pub namespace: Namespace,
    /// The branches that may be deployed to it; without any, every branch and tag may.
    pub branches: Option<Patterns>,
    /// The environment that must have verified a release first.
    pub after: Option<EnvironmentName>,
    /// What follows a rollout that has failed.
    pub on_failure: OnFailure,
}

/// The deploy targets of a repository, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environments {
    list: Vec<Environment>,
}

impl Environments {
    /// Reads an environments file, or says everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Environments, Vec<Problem>> {
        let (tree, problems) = read_tree(text).map_err(tidy)?;
        let mut reader = Reader { problems };
        let entries = reader.mapping(&tree, "the file").unwrap_or(&[]);
        if entries.len() > ENVIRONMENTS_MAX {
            let count = entries.len();
            let message =
                format!("the file has {count} environments; at most {ENVIRONMENTS_MAX} may be");
            return Err(vec![Problem::new(Place::START, "", message)]);
        }
        let read: Vec<_> = entries
            .iter()
            .filter_map(|entry| environment(&mut reader, entry))
            .collect();
        check_after(&mut reader, &read, entries);
        match reader.problems.is_empty() {
            true => Ok(Environments {
                list: read.into_iter().map(|read| read.environment).collect(),
            }),
            false => Err(tidy(reader.problems)),
        }
    }

    /// The environments of a repository without an environments file: none.
    pub fn none() -> Environments {
        Environments::default()
    }

    /// The environment of that name.
    pub fn find(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.iter().find(|environment| environment.name == *name)
    }

    /// Every environment, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Environment> {
        self.list.iter()
    }

    /// Every environment, each behind the one it comes after, otherwise in the file's order.
    pub fn promotion_order(&self) -> Vec<&Environment> {
        let after = self.iter().map(|environment| environment.after.as_ref());
        let names: Vec<_> = self.iter().map(|environment| &environment.name).collect();
        let order = graph(&names, after).order();
        assert!(order.len() == names.len(), "`after` leads back to itself");
        order.into_iter().map(|place| &self.list[place]).collect()
    }
}

/// An environment, and where its `after` stands.
struct Read {
    environment: Environment,
    after: Option<At<EnvironmentName>>,
}

fn environment(reader: &mut Reader, entry: &Entry) -> Option<Read> {
    let name = reader.parse_name(&entry.key, entry.place);
    let fields = reader.fields(&entry.value, &ENVIRONMENT_KEYS)?;
    let namespace = match fields.find("namespace") {
        Some(entry) => reader.name::<Namespace>(&entry.value, "`namespace`"),
        None => {
            let problem = Problem::new(entry.place, &entry.key, "`namespace` is missing");
            reader.report(problem.hint("say which namespace of the cluster it is"));
            None
        }
    };
    let branches = fields.find("branches");
    let branches = branches.and_then(|entry| reader.patterns(&entry.value, "`branches`"));
    let after = fields.find("after");
    let after = after.and_then(|entry| reader.name(&entry.value, "`after`"));
    let on_failure = fields.find("on_failure");
    let on_failure = on_failure
        .and_then(|entry| reader.one_of(&entry.value, "`on_failure`", &["rollback", "hold"]));
    Some(Read {
        environment: Environment {
            name: name?.value,
            namespace: namespace?.value,
            branches,
            after: after
                .as_ref()
                .map(|after: &At<EnvironmentName>| after.value.clone()),
            on_failure: match on_failure {
                Some("hold") => OnFailure::Hold,
                _ => OnFailure::Rollback,
            },
        },
        after,
    })
}

fn check_after(reader: &mut Reader, read: &[Read], entries: &[Entry]) {
    for Read { environment, after } in read {
        let Some(after) = after else { continue };
        let name = after.value.as_str();
        let problem = |message: String| Problem::new(after.place, name, message);
        let mut known = entries.iter().map(|entry| entry.key.as_str());
        if after.value == environment.name {
            reader.report(problem("an environment cannot come after itself".into()));
        } else if !known.any(|known| known == name) {
            let others = entries.iter().map(|entry| entry.key.as_str());
            let others = others.filter(|other| *other != environment.name.as_str());
            let problem = problem(format!("there is no environment `{name}`"));
            reader.report(problem.nearest(name, others));
        }
    }
    let names: Vec<_> = read.iter().map(|read| &read.environment.name).collect();
    let after = read.iter().map(|read| read.environment.after.as_ref());
    for cycle in graph(&names, after).cycles() {
        if cycle.len() < 2 {
            continue;
        }
        let round = cycle.iter().chain(cycle.first());
        let round: Vec<_> = round.map(|at| names[*at].as_str()).collect();
        let message = format!(
            "these environments come after one another: {}",
            round.join(" → ")
        );
        if let Some(after) = &read[cycle[0]].after {
            reader.report(Problem::new(after.place, round[1], message));
        }
    }
}

/// Who comes after whom. An `after` that does not exist is left out.
fn graph<'n>(
    names: &[&EnvironmentName],
    after: impl Iterator<Item = Option<&'n EnvironmentName>>,
) -> Graph {
    let place = |name: &EnvironmentName| names.iter().position(|known| *known == name);
    let needs = |after: Option<&EnvironmentName>| after.and_then(place).into_iter().collect();
    Graph::new(after.map(needs).collect())
}

#[cfg(test)]
mod tests;
