//! The addresses of pages. Names of repositories, environments and jobs are of letters that need no
//! escaping (`pipelines::names`); what a person typed goes through [`query`].

use pipelines::ids::{DeployNumber, RunNumber};

/// A repository's runs.
pub(crate) fn repo(owner: &str, name: &str) -> String {
    format!("/repos/{owner}/{name}")
}

/// A run.
pub(crate) fn run(owner: &str, name: &str, number: i64) -> String {
    format!("/repos/{owner}/{name}/runs/{}", RunNumber(number))
}

/// A job's log.
pub(crate) fn job(owner: &str, name: &str, run: i64, job: &str) -> String {
    format!("/repos/{owner}/{name}/runs/{run}/jobs/{job}")
}

/// A deploy.
pub(crate) fn deploy(owner: &str, name: &str, number: i64) -> String {
    format!("/repos/{owner}/{name}/deploys/{}", DeployNumber(number))
}

/// A kept file of a run whose address is `run`. Its path is shown, and has no say: the number has.
pub(crate) fn artifact(run: &str, id: i64, path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let file: String = url::form_urlencoded::byte_serialize(file.as_bytes()).collect();
    // What a form writes for a space means a plus in a path.
    format!("{run}/artifacts/{id}/{}", file.replace('+', "%20"))
}

/// An environment of a repository.
pub(crate) fn environment(owner: &str, name: &str, environment: &str) -> String {
    format!("/repos/{owner}/{name}/environments/{environment}")
}

/// `path` with those of the pairs that have a value.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    let text = text.finish();
    if text.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{text}")
    }
}

/// The first seven digits of a commit.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    #[test]
    fn odd_branch_names_survive_the_address() {
        let address = super::query("/x", &[("branch", "a/b#c%20\""), ("state", "")]);
        assert_eq!(address, "/x?branch=a%2Fb%23c%2520%22");
    }
}
