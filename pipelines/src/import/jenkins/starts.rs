//! What starts a Jenkins pipeline: triggers, and the parameters of a start by hand.

use super::super::model::{Filter, Input, Notes, Pipeline, Schedule};
use super::super::names;
use super::arguments::{Arguments, Value};
use super::groovy::Statement;
use crate::cron::Cron;

pub(super) fn parameters(block: &Statement, pipeline: &mut Pipeline, notes: &mut Notes) {
    let mut inputs = Vec::new();
    for parameter in block.block() {
        let arguments = Arguments::read(&parameter.rest);
        let named = |name: &str| arguments.text(name).map(str::to_owned);
        let Some(name) = named("name") else { continue };
        let mut input = Input {
            name: names::axis(&name),
            kind: "string",
            default: named("defaultValue").filter(|text| !text.is_empty() && !text.contains('\n')),
            description: named("description").filter(|text| !text.trim().is_empty()),
            ..Input::default()
        };
        match parameter.name.as_str() {
            "string" | "text" => {}
            "booleanParam" => {
                input.kind = "boolean";
                input.default = input
                    .default
                    .filter(|text| text == "true" || text == "false");
            }
            "choice" => {
                let choices = arguments.find("choices").map(|choices| choices.all());
                let choices = choices.unwrap_or_default().into_iter().flat_map(str::lines);
                input.options = choices.map(|one| one.trim().to_owned()).collect();
                input.options.retain(|one| !one.is_empty());
                input.kind = if input.options.is_empty() {
                    "string"
                } else {
                    "choice"
                };
                input.default = input.options.first().cloned();
            }
            other => {
                let what = format!("{other} {name}");
                let why = "there is no such kind of an input";
                notes.add(
                    parameter.line,
                    &what,
                    why,
                    "use a secret for what nobody may read",
                );
                continue;
            }
        }
        inputs.push(input);
    }
    pipeline.triggers.manual = Some(inputs);
}

pub(super) fn triggers(block: &Statement, pipeline: &mut Pipeline, notes: &mut Notes) {
    for trigger in block.block() {
        let arguments = Arguments::read(&trigger.rest);
        let text = arguments
            .places
            .first()
            .map(Value::plain)
            .unwrap_or_default();
        match trigger.name.as_str() {
            "cron" | "parameterizedCron" => {
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    cron(line, trigger.line, pipeline, notes);
                }
            }
            "githubPush" => pipeline.triggers.push = Some(Filter::default()),
            // A webhook tells at once what polling would have found.
            "pollSCM" => {}
            _ => {
                let why = "there is no such trigger here";
                notes.add(
                    trigger.line,
                    &trigger.shown(),
                    why,
                    "start it with `manual`",
                );
            }
        }
    }
}

/// `H` is a number that Jenkins chooses for the job.
fn cron(text: &str, line: u32, pipeline: &mut Pipeline, notes: &mut Notes) {
    let zone = text.strip_prefix("TZ=").map(str::to_owned);
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = match words.as_slice() {
        ["@hourly"] => vec!["17", "*", "*", "*", "*"],
        ["@daily" | "@midnight"] => vec!["17", "2", "*", "*", "*"],
        ["@weekly"] => vec!["17", "2", "*", "*", "0"],
        ["@monthly"] => vec!["17", "2", "1", "*", "*"],
        words => words.to_vec(),
    };
    let mut fields = Vec::new();
    for (at, word) in named.iter().enumerate() {
        let chosen = ["17", "2", "1", "1", "1"].get(at).copied().unwrap_or("0");
        let field = match *word {
            "H" => chosen.to_owned(),
            word if word.starts_with("H/") => word.replacen('H', "*", 1),
            // `H(0-5)`: the first of the range.
            word if word.starts_with("H(") => {
                let inner = word.trim_start_matches("H(").split(['-', ')']).next();
                inner.unwrap_or(chosen).to_owned()
            }
            word => word.to_owned(),
        };
        fields.push(field);
    }
    let found = fields.join(" ");
    match Cron::parse(&found, "UTC") {
        Ok(_) if zone.is_none() => {
            if found != text {
                let why = format!("it is `{found}` now: nothing chooses a time by itself");
                notes.add(
                    line,
                    &format!("cron '{text}'"),
                    &why,
                    "choose the time you want",
                );
            }
            pipeline.triggers.schedule.push(Schedule {
                cron: found,
                zone: None,
            });
        }
        Ok(_) | Err(_) => {
            let why = "this schedule cannot be read";
            notes.add(
                line,
                &format!("cron '{text}'"),
                why,
                "write five fields of cron",
            );
        }
    }
}
