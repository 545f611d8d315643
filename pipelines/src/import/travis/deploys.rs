//! Travis' `deploy`: scripts become steps, providers are for a person.

use super::super::model::{Job, Notes, Step, When, by_hand};
use super::super::script;
use super::super::source::Node;
use super::{conditions, later_step, phases};

/// Puts a step into the job for each deploy that is a script.
pub(super) fn steps(
    node: &Node,
    [before, after]: &[Vec<String>; 2],
    job: &mut Job,
    notes: &mut Notes,
) {
    for one in node.items() {
        let provider = one.text_of("provider").or(one.text()).unwrap_or_default();
        let when = when(one.find("on"), notes);
        let lines = match (provider, one.find("script")) {
            ("script", Some(script)) => phases::lines(script, notes),
            _ => Vec::new(),
        };
        if lines.is_empty() {
            let (why, hint) = advice(provider);
            let what = format!("deploy: {provider}");
            notes.add(one.line, &what, why, hint);
            job.after_steps.push(by_hand(one.line, &what));
            continue;
        }
        let run = [before.clone(), lines, after.clone()].concat().join("\n");
        let secrets = script::secrets(&run, one.line, &[&job.env], notes);
        let run = script::commands(&[(0, script::without_sudo(&run))]);
        job.steps.push(Step {
            secrets,
            ..later_step("deploy", run, when)
        });
    }
}

fn advice(provider: &str) -> (&'static str, &'static str) {
    match provider {
        "npm" => (
            "providers are programs of Travis",
            "add a step `npm publish` with `secrets: [npm_token]` and a `when`",
        ),
        "pypi" => (
            "providers are programs of Travis",
            "add a step `twine upload dist/*` with `secrets: [twine_password]` and a `when`",
        ),
        "releases" => (
            "providers are programs of Travis",
            "add a step with the image of `gh` and `gh release upload \"$SEAWORTHY_TAG\" FILES`",
        ),
        "pages" => (
            "providers are programs of Travis",
            "add a step that pushes to `gh-pages`",
        ),
        "gcs" | "s3" => (
            "providers are programs of Travis",
            "add a step with the image of the cloud's command and a secret",
        ),
        _ => (
            "providers are programs of Travis",
            "add a step that does it, or a job with `deploy` if it goes to Kubernetes",
        ),
    }
}

/// `on`: without `tags` it means a branch, `main` if nothing is said.
fn when(on: Option<&Node>, notes: &mut Notes) -> When {
    let mut when = When::default();
    let Some(on) = on else {
        when.branch.push("main".into());
        return when;
    };
    let is_tag = on.find("tags").is_some_and(Node::is_true);
    let all_branches = on.find("all_branches").is_some_and(Node::is_true);
    if is_tag {
        when.tag.push("**".into());
    } else if let Some(branch) = on.find("branch") {
        for (line, text) in branch.texts() {
            let patterns = conditions::names(&text, line, notes);
            when.branch
                .extend(patterns.into_iter().map(|(pattern, _)| pattern));
        }
    } else if !all_branches {
        when.branch.push("main".into());
    }
    for entry in on.entries() {
        let known = ["tags", "branch", "all_branches", "repo", "fork"];
        if !known.contains(&entry.key.as_str()) {
            let what = format!("on.{}: {}", entry.key, entry.value.shown());
            let hint = "test for it in the script";
            notes.add(entry.line, &what, "`when` cannot say this", hint);
        }
    }
    when.event.push("push".into());
    when
}
