//! Steps that plugins of Jenkins bring: credentials are secrets here, the rest is for a person.

use super::super::model::Notes;
use super::super::names;
use super::arguments::Arguments;
use super::steps::Around;

pub(super) fn advice(name: &str) -> (&'static str, &'static str) {
    match name {
        "bat" | "powershell" | "pwsh" => {
            ("steps run in Linux containers only", "write it for `sh`")
        }
        "stash" | "unstash" => (
            "a job starts from a fresh checkout; files are not handed to it",
            "do in one job what needs the files, or make them again",
        ),
        "input" => (
            "nothing waits for a click in the middle of a run",
            "give the environment approvals, and make it a job with `deploy`",
        ),
        "build" => (
            "a pipeline does not start another one",
            "put its jobs into this file",
        ),
        "slackSend" | "mail" | "emailext" | "office365ConnectorSend" | "mattermostSend" => (
            "messages are not sent from a pipeline file",
            "the result is a check on the commit; let GitHub tell people about it",
        ),
        "publishHTML" | "recordIssues" | "publishCoverage" | "jacoco" | "cobertura" => (
            "a plugin of Jenkins shows it",
            "keep the files with `artifacts`",
        ),
        "lock" => (
            "only a whole pipeline has a `concurrency`",
            "leave it to the environment, which takes one deploy at a time",
        ),
        name if name.starts_with("docker.") => (
            "it is a program in Groovy that speaks to a Docker engine",
            "make it a job with `build`, or give the step its `image`",
        ),
        "def" | "if" | "else" | "for" | "try" | "catch" | "return" | "parallel" => (
            "it is Groovy, which is not read",
            "write it for the shell, or as jobs with a `when`",
        ),
        _ => (
            "it is a step of a plugin or of a shared library",
            "write the commands it stands for",
        ),
    }
}

/// `string(credentialsId: 'id', variable: 'X')` and its like.
pub(super) fn credentials(code: &str, line: u32, around: &mut Around, notes: &mut Notes) {
    let (kind, rest) = code.split_at(code.find('(').unwrap_or(code.len()));
    let arguments = Arguments::read(rest);
    let id = arguments.text("credentialsId").unwrap_or("secret");
    let secret = names::secret(id);
    let hint = "store it on the server under this name";
    let mut one = |key: &str, suffix: &str| {
        if let Some(variable) = arguments.text(key) {
            let secret = format!("{secret}{suffix}");
            let why = format!("`{variable}` is the secret `{secret}` here");
            notes.add(line, &format!("credentials '{id}'"), &why, hint);
            around.secrets.push((variable.to_owned(), secret));
        }
    };
    match kind.trim() {
        "string" => one("variable", ""),
        "usernamePassword" => {
            one("usernameVariable", "_user");
            one("passwordVariable", "_password");
        }
        "usernameColonPassword" => one("variable", ""),
        "file" => {
            one("variable", "");
            let why = "a secret is a variable, and a file at /run/secrets/NAME";
            notes.add(line, code, why, "use that path in the script");
        }
        other => {
            let why = "this kind of credentials is not known here";
            notes.add(
                line,
                other,
                why,
                "store its parts as secrets, and name them in the step",
            );
        }
    }
}
