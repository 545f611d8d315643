//! The phases of a Travis build as steps.

use super::super::model::{Job, Notes, Status, Step, When, by_hand};
use super::super::script;
use super::super::source::Node;
use super::{Reader, VARIABLES, later_step};

/// What Travis runs for a language whose file does not say.
fn defaults(language: &str) -> (Option<&'static str>, Option<&'static str>) {
    match language {
        "node_js" => (Some("npm ci"), Some("npm test")),
        "ruby" => (
            Some("bundle install --jobs=3 --retry=3"),
            Some("bundle exec rake"),
        ),
        "python" => (Some("pip install -r requirements.txt"), None),
        "go" => (None, Some("go test -v ./...")),
        "rust" => (Some("cargo build --verbose"), Some("cargo test --verbose")),
        "java" | "groovy" | "kotlin" => (
            Some("mvn install -DskipTests=true -B -V"),
            Some("mvn test -B"),
        ),
        "scala" => (None, Some("sbt test")),
        "php" => (None, Some("phpunit")),
        "elixir" => (
            Some("mix local.hex --force\nmix deps.get"),
            Some("mix test"),
        ),
        "haskell" => (None, Some("cabal test")),
        "perl" => (
            Some("cpanm --quiet --installdeps --notest ."),
            Some("make test"),
        ),
        "crystal" => (Some("shards install"), Some("crystal spec")),
        "dart" => (Some("dart pub get"), Some("dart test")),
        "clojure" => (Some("lein deps"), Some("lein test")),
        "c" | "cpp" => (None, Some("./configure && make && make test")),
        _ => (None, None),
    }
}

/// Puts the steps into the job: one up to `script`, and one for each phase behind it.
pub(super) fn steps(reader: &Reader<'_>, node: &Node, job: &mut Job, notes: &mut Notes) {
    let phase = |key: &str| node.find(key).or_else(|| reader.root.find(key));
    let (install, script) = defaults(&reader.language);
    let mut parts: Vec<String> = packages(phase("addons"), job, notes);
    for (key, default) in [
        ("before_install", None),
        ("install", install),
        ("before_script", None),
        ("script", script),
    ] {
        match (phase(key), default) {
            // `install: skip` and `install: true` both say: nothing.
            (Some(node), _) => parts.extend(lines(node, notes)),
            (None, Some(default)) => parts.push(default.to_owned()),
            (None, None) => {}
        }
    }
    if phase("script").is_none() && script.is_none() {
        let line = node.line;
        let why = "without `script` nobody says what the tests are";
        notes.add(line, "script", why, "add the command to the step");
        job.after_steps
            .push(by_hand(line, "the command that tests"));
    }
    let run = parts.join("\n");
    if !run.trim().is_empty() {
        let line = phase("script").map_or(1, |node| node.line);
        let secrets = script::secrets(&run, line, &[&reader.global_env, &job.env], notes);
        let run = script::commands(&[(0, script::without_sudo(&run))]);
        job.steps.push(Step {
            run,
            secrets,
            ..Step::default()
        });
    }
    for (key, status) in [
        ("after_success", None),
        ("after_failure", Some(Status::Failure)),
        ("after_script", Some(Status::Always)),
    ] {
        let Some(node) = phase(key) else { continue };
        let run = lines(node, notes).join("\n");
        if run.trim().is_empty() {
            continue;
        }
        notes.add(
            node.line,
            key,
            "it is a step of its own: what `install` put outside the workspace is not there, and \
             its failure makes the job fail",
            "check that it finds what it needs; append `|| true` where a failure must not count",
        );
        let when = When {
            status,
            ..When::default()
        };
        let secrets = script::secrets(&run, node.line, &[&reader.global_env], notes);
        let run = script::commands(&[(0, script::without_sudo(&run))]);
        job.steps.push(Step {
            secrets,
            ..later_step(key, run, when)
        });
    }
}

/// The commands of a phase, with our variables.
pub(super) fn lines(node: &Node, notes: &mut Notes) -> Vec<String> {
    let mut lines = Vec::new();
    for (line, text) in node.texts() {
        if matches!(text.trim(), "skip" | "true" | "ignore" | "false") {
            continue;
        }
        script::inspect(&text, line, notes);
        let text = text.trim_end();
        // Travis' own helpers around a command.
        let text = text.replace("travis_retry ", "");
        let text = match text.strip_prefix("travis_wait ") {
            Some(rest) => rest
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start()
                .to_owned(),
            None => text,
        };
        lines.push(VARIABLES.in_script(&text, line, notes));
    }
    lines
}

/// `addons`: packages become a command, the rest is for a person.
fn packages(addons: Option<&Node>, job: &mut Job, notes: &mut Notes) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in addons.map(Node::entries).unwrap_or_default() {
        let apt = match entry.key.as_str() {
            "apt" => entry
                .value
                .find("packages")
                .or(match entry.value.entries() {
                    [] => Some(&entry.value),
                    _ => None,
                }),
            "apt_packages" => Some(&entry.value),
            _ => None,
        };
        if let Some(sources) = entry.value.find("sources") {
            let hint = "add the source before `apt-get update`, or use an image that has it";
            notes.add(
                sources.line,
                "apt sources",
                "Travis' names for them are its own",
                hint,
            );
        }
        let packages: Vec<String> = match apt {
            Some(apt) => apt.texts().into_iter().map(|(_, text)| text).collect(),
            None => Vec::new(),
        };
        if !packages.is_empty() {
            lines.push("apt-get update -q".into());
            let packages: Vec<_> = packages.iter().map(|name| script::quote(name)).collect();
            lines.push(format!("apt-get install -qy {}", packages.join(" ")));
        } else if entry.key != "apt" {
            let why = match entry.key.as_str() {
                "postgresql" | "mariadb" | "rethinkdb" => "a version of a service is its image",
                "chrome" | "firefox" => "there is no browser in the image",
                "hosts" | "hostname" => "a container has its own `/etc/hosts`",
                _ => "there is no such addon here",
            };
            let hint = "choose an image (or a service) that brings it";
            let what = format!("addons.{}: {}", entry.key, entry.value.shown());
            notes.add(entry.line, &what, why, hint);
            job.by_hand.push(by_hand(entry.line, &what));
        }
    }
    lines
}
