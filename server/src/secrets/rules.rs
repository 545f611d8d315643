//! Which secrets a job gets: pure, from its standing and the rules of each secret.

use pipelines::event::Trust;
use pipelines::names::SecretName;
use pipelines::pattern::Patterns;
use pipelines::plan::Work;

use crate::store::secrets::Rules;
use crate::store::standing::Standing;

/// Every secret that the job's work names, each once, in the order of names.
pub(crate) fn named(work: &Work) -> Vec<&SecretName> {
    let mut names: Vec<&SecretName> = match work {
        Work::Steps(steps) => {
            let running = steps.steps.iter().filter(|step| step.skip.is_none());
            running.flat_map(|step| &step.secrets).collect()
        }
        Work::Build(build) => build.secrets.iter().collect(),
        Work::Deploy(_) => Vec::new(),
    };
    names.sort();
    names.dedup();
    names
}

/// Why a run gets no secret at all and goes on without, if so.
pub(crate) fn withheld(standing: &Standing) -> Option<&'static str> {
    match standing.trust {
        Trust::Fork => Some("runs of a fork have no secrets"),
        Trust::Trusted => None,
    }
}

/// Why the rules keep this job from the secret, if they do: as the end of a sentence that began
/// with the secret's name.
pub(crate) fn forbidden(rules: &Rules, standing: &Standing) -> Option<String> {
    if !rules.kinds.is_empty() && !rules.kinds.contains(&standing.kind()) {
        let kinds: Vec<_> = rules.kinds.iter().map(|kind| kind.as_str()).collect();
        return Some(format!("is only for jobs of kind {}", kinds.join(" or ")));
    }
    let here = standing.environment.as_deref();
    let environments = &rules.environments;
    if !environments.is_empty() && !environments.iter().any(|one| Some(one.as_str()) == here) {
        let names: Vec<_> = environments.iter().map(AsRef::<str>::as_ref).collect();
        return Some(format!("is only for deploys to {}", names.join(" or ")));
    }
    if rules.branches.is_empty() {
        return None;
    }
    let mut patterns = Patterns::default();
    // A pattern that cannot be read means nothing, and so nobody gets the secret by it.
    let readable = rules.branches.iter().all(|text| patterns.add(text).is_ok());
    let allowed = match standing.branch.as_deref() {
        Some(branch) => patterns.matches(branch),
        None => patterns.matches_nothing(),
    };
    if readable && allowed {
        return None;
    }
    let place = match standing.branch.as_deref() {
        Some(branch) => format!("branch `{branch}`"),
        None => "a tag".to_owned(),
    };
    let list = rules.branches.join(", ");
    Some(format!(
        "is only for the branches {list}, and this run is of {place}"
    ))
}

#[cfg(test)]
mod tests {
    use pipelines::ids::RepoId;
    use pipelines::plan::JobKind;
    use serde_json::json;

    use super::*;

    fn standing(branch: Option<&str>) -> Standing {
        let work = json!({ "build": {
            "image": "registry.example/shop", "context": ".", "dockerfile": "Dockerfile",
            "target": null, "args": {}, "tags": [], "secrets": ["npm_token", "a_key", "npm_token"],
        }});
        Standing {
            repo: RepoId(7),
            repository: "acme/shop".into(),
            trust: Trust::Trusted,
            branch: branch.map(str::to_owned),
            pull_request: None,
            environment: None,
            work: serde_json::from_value(work).unwrap(),
        }
    }

    fn branches(patterns: &[&str]) -> Rules {
        Rules {
            branches: patterns.iter().map(|&text| text.to_owned()).collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn a_job_names_each_secret_once() {
        let standing = standing(None);
        let names: Vec<_> = named(&standing.work)
            .iter()
            .map(|name| name.as_str())
            .collect();
        assert_eq!(names, ["a_key", "npm_token"]);
    }

    #[test]
    fn the_rules_say_who_gets_a_secret() {
        let kinds = |kinds: &[JobKind]| Rules {
            kinds: kinds.to_vec(),
            ..Rules::default()
        };
        let staging = Rules {
            environments: vec!["staging".parse().unwrap()],
            ..Rules::default()
        };
        let mut ships = standing(Some("main"));
        ships.environment = Some("staging".into());
        let main = || standing(Some("main"));
        let cases = [
            (Rules::default(), main(), None),
            (Rules::default(), standing(None), None),
            (branches(&["main"]), main(), None),
            (branches(&["release/*", "main"]), main(), None),
            (branches(&["!wip/**"]), main(), None),
            (branches(&["!wip/**"]), standing(None), None),
            (
                branches(&["main"]),
                standing(Some("topic")),
                Some("is only for the branches main, and this run is of branch `topic`"),
            ),
            (
                branches(&["main"]),
                standing(None),
                Some("is only for the branches main, and this run is of a tag"),
            ),
            (
                branches(&["ma?n"]),
                main(),
                Some("is only for the branches ma?n, and this run is of branch `main`"),
            ),
            (kinds(&[JobKind::Build]), main(), None),
            (
                kinds(&[JobKind::Steps, JobKind::Deploy]),
                main(),
                Some("is only for jobs of kind steps or deploy"),
            ),
            (
                staging.clone(),
                main(),
                Some("is only for deploys to staging"),
            ),
            (staging, ships, None),
        ];
        for (rules, standing, wanted) in cases {
            assert_eq!(forbidden(&rules, &standing).as_deref(), wanted, "{rules:?}");
        }
    }
}
