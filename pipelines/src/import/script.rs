//! What a script of another system needs so that it runs in a step of ours.

use super::model::{Notes, Pairs};
use super::variables::line_of;

/// A piece of work that had a shell of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) name: Option<String>,
    pub(super) run: String,
    pub(super) dir: Option<String>,
    /// Lines before it, such as `export A="$B"`.
    pub(super) exports: Vec<String>,
    pub(super) env: Pairs,
}

impl Part {
    /// The script alone.
    pub(super) fn script(&self) -> String {
        let mut lines = self.exports.clone();
        if let Some(dir) = self.dir.as_deref().filter(|dir| !is_root(dir)) {
            lines.push(format!("cd {}", quote(dir)));
        }
        lines.push(self.run.trim_end().to_owned());
        block(lines.join("\n"))
    }

    /// The script as one of several in the same step: what it changes stays its own.
    fn within(&self) -> String {
        let mut lines = Vec::new();
        for (key, value) in &self.env {
            lines.push(format!("export {key}={}", quote(value)));
        }
        lines.push(self.script().trim_end().to_owned());
        let script = lines.join("\n");
        let changes_shell = script.lines().any(|line| {
            let word = line.split_whitespace().next().unwrap_or_default();
            matches!(
                word,
                "cd" | "export" | "exit" | "set" | "." | "source" | "unset" | "trap"
            )
        });
        match changes_shell {
            true => format!("(\n{script}\n)"),
            false => script,
        }
    }
}

/// Several parts as one script, each under its name.
pub(super) fn joined(parts: &[Part]) -> String {
    if let [one] = parts {
        return one.script();
    }
    let mut scripts = Vec::new();
    for part in parts {
        if let Some(name) = &part.name {
            scripts.push(format!("# {}", super::model::one_line(name)));
        }
        scripts.push(part.within());
    }
    block(scripts.join("\n"))
}

/// Commands that ran one after another in the same shell.
pub(super) fn commands(lines: &[(u32, String)]) -> String {
    let lines: Vec<_> = lines.iter().map(|(_, line)| line.trim_end()).collect();
    block(lines.join("\n"))
}

/// A script of several lines ends in a line break, as a block of YAML does.
fn block(script: String) -> String {
    let script = script.trim_end();
    match script.contains('\n') {
        true => format!("{script}\n"),
        false => script.trim().to_owned(),
    }
}

fn is_root(dir: &str) -> bool {
    matches!(dir.trim_end_matches('/'), "" | "." | "/workspace")
}

/// Puts a variable into a script: within single quotes nothing would be filled in.
pub(super) fn insert(script: &mut String, variable: &str) {
    let line = script.rsplit('\n').next().unwrap_or_default();
    let mut quote = None;
    for c in line.chars() {
        match quote {
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
    }
    match quote {
        Some('\'') if variable.starts_with('$') => script.push_str(&format!("'\"{variable}\"'")),
        _ => script.push_str(variable),
    }
}

/// What stands in a script where a value has no translation: it ends the step with its name, within
/// double quotes too, so that no command ever runs with something else in its place.
pub(super) fn missing(what: &str) -> String {
    let is_fit = |c: &char| !c.is_control() && !"'\"`$\\{}".contains(*c);
    let what: String = what.chars().filter(is_fit).collect();
    format!("${{BY_HAND:?{what}}}")
}

/// A text as one word of a shell.
pub(super) fn quote(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    // Variables are meant to be filled in.
    match text.contains('$') && !text.contains(['"', '\\', '`']) {
        true => format!("\"{text}\""),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Leaves out `sudo`: a step is what its image's user is, mostly root, and has no such command.
pub(super) fn without_sudo(text: &str) -> String {
    let mut result = String::new();
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        for sudo in ["sudo -E ", "sudo -H ", "sudo -n ", "sudo "] {
            let start = line.len() - line.trim_start().len();
            if line[start..].starts_with(sudo) {
                line.replace_range(start..start + sudo.len(), "");
            }
            for before in ["&& ", "| ", "; ", "|| ", "then ", "do "] {
                line = line.replace(&format!("{before}{sudo}"), before);
            }
        }
        result.push_str(&line);
    }
    result
}

/// Whether a script puts something into the machine that a later script wants to find there.
pub(super) fn installs(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "apt-get install",
        "apt install",
        "apt-get -y install",
        "apk add",
        "yum install",
        "dnf install",
        "pip install",
        "pip3 install",
        "pipx install",
        "npm install -g",
        "npm i -g",
        "npm install --global",
        "yarn global",
        "corepack enable",
        "gem install",
        "bundle install",
        "cargo install",
        "rustup ",
        "go install",
        "poetry install",
        "uv tool",
        "uv pip",
        "composer global",
        "/usr/local/bin",
        "git config --global",
        "npm config set",
        "docker login",
    ];
    WORDS.iter().any(|word| text.contains(word))
}

/// The secrets that a script wants by its variables' names: other systems keep them in settings,
/// where no file says which they are.
pub(super) fn secrets(text: &str, line: u32, own: &[&Pairs], notes: &mut Notes) -> Vec<String> {
    const WORDS: &[&str] = &[
        "TOKEN",
        "PASSWORD",
        "SECRET",
        "PASSWD",
        "API_KEY",
        "PRIVATE_KEY",
    ];
    let mut secrets = Vec::new();
    for name in super::variables::names(text) {
        let is_upper = name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_known = own.iter().any(|env| env.iter().any(|(key, _)| key == name));
        let is_set = text.contains(&format!("{name}="));
        let is_secret = WORDS.iter().any(|word| name.contains(word));
        let is_ours = name.starts_with("CI_") || name.starts_with("SEAWORTHY_");
        if is_secret && is_upper && !is_known && !is_set && !is_ours && !name.starts_with('_') {
            let secret = name.to_ascii_lowercase();
            if super::names::secret(&secret) == secret {
                let why = format!("it looks like a secret, so the step names `{secret}`");
                let hint = "store it on the server under this name";
                notes.add(line, &format!("${name}"), &why, hint);
                super::model::add(&mut secrets, secret);
            }
        }
    }
    secrets
}

/// Notes what will not work in a step although it is only text to us.
pub(super) fn inspect(text: &str, line: u32, notes: &mut Notes) {
    for (at, one) in text.lines().enumerate() {
        let code = one.trim_start();
        if code.starts_with('#') {
            continue;
        }
        if let Some((why, hint)) = obstacle(code) {
            notes.add(line_of(text, line, at), code, why, hint);
        }
    }
}

fn obstacle(code: &str) -> Option<(&'static str, &'static str)> {
    const ENGINE: &str = "a step has no Docker engine to talk to";
    const CLUSTER: &str = "it changes a cluster from a script, where nobody watches the rollout";
    let commands: Vec<&str> = code
        .split(['|', '&', ';', '(', '`'])
        .map(|part| {
            part.trim_start_matches(['(', ' ', '!', '{', '\'', '"'])
                .trim()
        })
        .collect();
    let begins = |words: &[&str]| {
        let any = |command: &&str| words.iter().any(|word| command.starts_with(word));
        commands.iter().any(any)
    };
    if begins(&[
        "docker build ",
        "docker buildx ",
        "docker push ",
        "podman build ",
        "buildah ",
    ]) {
        return Some((
            ENGINE,
            "make it a job with `build`, which builds and pushes the image",
        ));
    }
    if begins(&["docker compose ", "docker-compose "]) {
        return Some((ENGINE, "declare what it starts as `services` of the job"));
    }
    if begins(&["docker login"]) {
        return Some((
            ENGINE,
            "log in once where the runner is; `build` uses that login",
        ));
    }
    if begins(&["docker "]) {
        return Some((ENGINE, "give the step the `image` it wants to run"));
    }
    if begins(&[
        "kubectl apply",
        "kubectl set image",
        "kubectl rollout",
        "kubectl create",
    ]) || begins(&[
        "helm upgrade",
        "helm install",
        "helmfile ",
        "kustomize build",
    ]) {
        return Some((
            CLUSTER,
            "make it a job with `deploy`: environment, manifests, images",
        ));
    }
    is_bash(code).then_some((
        "it needs bash, and a step runs in `sh -e`",
        "write it for sh, or put it in a script of the repository that begins with `#!/bin/bash`",
    ))
}

fn is_bash(code: &str) -> bool {
    let words = [
        "[[ ", "pipefail", "shopt ", "<<<", "<(", "mapfile ", "declare ", "${!",
    ];
    words.iter().any(|word| code.contains(word))
        || ["source ", "function ", "pushd ", "popd"]
            .iter()
            .any(|word| code.starts_with(word) || code.contains(&format!("&& {word}")))
}
