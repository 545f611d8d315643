//! What starts a pipeline: `on`, and which runs it does not want beside it.

use super::keys::{CONCURRENCY, INPUT, MANUAL, ON, PULL_REQUEST, PUSH, SCHEDULE};
use super::problem::{At, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Entry, Kind, Node};
use super::{
    ConcurrencyDefinition, Input, InputKind, ManualTrigger, PullRequestTrigger, PushTrigger,
    ScheduleTrigger, Triggers,
};
use crate::cron::Cron;
use crate::event::EventKind;
use crate::expression::{WORD_RULE, is_word};
use crate::limits::{INPUT_BYTES_MAX, INPUTS_MAX, SCHEDULES_MAX};
use crate::plan::Newest;

/// Reads `on`.
pub(crate) fn triggers(reader: &mut Reader, node: &Node) -> Triggers {
    let mut triggers = Triggers::default();
    if !matches!(node.kind, Kind::Mapping(_)) {
        for item in reader.items(node, "`on`") {
            bare(reader, item, &mut triggers);
        }
        return triggers;
    }
    let Some(fields) = reader.fields(node, &ON) else {
        return triggers;
    };
    triggers.push = fields.find("push").map(|entry| push(reader, entry));
    triggers.pull_request = fields
        .find("pull_request")
        .map(|entry| pull_request(reader, entry));
    if let Some(entry) = fields.find("schedule") {
        triggers.schedule = schedules(reader, &entry.value);
    }
    triggers.manual = fields.find("manual").map(|entry| manual(reader, entry));
    if fields.is_empty() {
        reader.report(Problem::new(node.place, "on", "`on` names no event"));
    }
    triggers
}

/// An event that is only named.
fn bare(reader: &mut Reader, item: &Node, triggers: &mut Triggers) {
    let Some(text) = reader.plain_text(item, "`on`") else {
        return;
    };
    match event_kind(reader, &text) {
        Some(EventKind::Push) => triggers.push = Some(PushTrigger::default()),
        Some(EventKind::PullRequest) => {
            triggers.pull_request = Some(PullRequestTrigger::default());
        }
        Some(EventKind::Manual) => triggers.manual = Some(ManualTrigger::default()),
        Some(EventKind::Schedule) => {
            let problem = Problem::new(text.place, &text.value, "the schedule has no time");
            reader.report(problem.hint("write `schedule: [{ cron: \"30 4 * * 1-5\" }]`"));
        }
        None => {}
    }
}

const EVENTS: [EventKind; 4] = [
    EventKind::Push,
    EventKind::PullRequest,
    EventKind::Schedule,
    EventKind::Manual,
];

/// The event of that name. `None` has been reported.
pub(crate) fn event_kind(reader: &mut Reader, text: &At<String>) -> Option<EventKind> {
    let found = EVENTS.into_iter().find(|kind| kind.as_str() == text.value);
    if found.is_none() {
        let problem = Problem::new(text.place, &text.value, "this event is not known")
            .hint("known are push, pull_request, schedule and manual")
            .nearest(&text.value, EVENTS.map(EventKind::as_str));
        reader.report(problem);
    }
    found
}

fn push(reader: &mut Reader, entry: &Entry) -> PushTrigger {
    let node = &entry.value;
    let mut trigger = PushTrigger::default();
    if node.is_null() {
        return trigger;
    }
    if let Some(fields) = reader.fields(node, &PUSH) {
        let mut patterns = |key: &str| {
            let entry = fields.find(key)?;
            reader.patterns(&entry.value, &format!("`{key}`"))
        };
        trigger.branches = patterns("branches");
        trigger.tags = patterns("tags");
        trigger.paths = patterns("paths");
    }
    trigger
}

fn pull_request(reader: &mut Reader, entry: &Entry) -> PullRequestTrigger {
    let node = &entry.value;
    let mut trigger = PullRequestTrigger::default();
    if node.is_null() {
        return trigger;
    }
    if let Some(fields) = reader.fields(node, &PULL_REQUEST) {
        let mut patterns = |key: &str| {
            let entry = fields.find(key)?;
            reader.patterns(&entry.value, &format!("`{key}`"))
        };
        trigger.branches = patterns("branches");
        trigger.paths = patterns("paths");
    }
    trigger
}

fn schedules(reader: &mut Reader, node: &Node) -> Vec<ScheduleTrigger> {
    let items = match &node.kind {
        Kind::Mapping(_) => std::slice::from_ref(node),
        Kind::Sequence(_) | Kind::Scalar { .. } => reader.list(node, "`schedule`", SCHEDULES_MAX),
    };
    let mut all = Vec::new();
    for item in items {
        let Some(schedule) = schedule(reader, item) else {
            continue;
        };
        if all.contains(&schedule) {
            let message = "this schedule is there twice";
            reader.report(Problem::new(item.place, &schedule.cron, message));
        } else {
            all.push(schedule);
        }
    }
    all
}

fn schedule(reader: &mut Reader, node: &Node) -> Option<ScheduleTrigger> {
    let fields = reader.fields(node, &SCHEDULE)?;
    let Some(entry) = fields.find("cron") else {
        let problem = Problem::new(node.place, &node.shown(), "the schedule has no `cron`");
        reader.report(problem.hint("write `cron: \"30 4 * * 1-5\"`"));
        return None;
    };
    let cron = reader.plain_text(&entry.value, "`cron`")?;
    let zone = match fields.find("zone") {
        Some(entry) => reader.plain_text(&entry.value, "`zone`")?,
        None => At {
            value: "UTC".to_owned(),
            place: cron.place,
        },
    };
    if let Err(words) = Cron::parse(&cron.value, &zone.value) {
        let is_zone = words.contains("time zone");
        let (at, hint) = match is_zone {
            true => (
                &zone,
                "write a name of the time zone database: `Europe/Berlin`",
            ),
            false => (
                &cron,
                "write five fields: `30 4 * * 1-5` is half past four on weekdays",
            ),
        };
        reader.report(Problem::new(at.place, &at.value, words).hint(hint));
        return None;
    }
    Some(ScheduleTrigger {
        cron: cron.value,
        zone: zone.value,
    })
}

fn manual(reader: &mut Reader, entry: &Entry) -> ManualTrigger {
    let node = &entry.value;
    let mut trigger = ManualTrigger::default();
    if node.is_null() {
        return trigger;
    }
    let Some(fields) = reader.fields(node, &MANUAL) else {
        return trigger;
    };
    let Some(inputs) = fields.find("inputs") else {
        return trigger;
    };
    let entries = reader.mapping(&inputs.value, "`inputs`").unwrap_or(&[]);
    if entries.len() > INPUTS_MAX {
        let count = entries.len();
        let message = format!("there are {count} inputs; at most {INPUTS_MAX} may be");
        reader.report(Problem::new(inputs.place, "inputs", message));
        return trigger;
    }
    let inputs = entries.iter().filter_map(|entry| input(reader, entry));
    trigger.inputs = inputs.collect();
    trigger
}

fn input(reader: &mut Reader, entry: &Entry) -> Option<Input> {
    if !is_word(&entry.key) {
        let message = "this is not a valid name of an input";
        reader.report(Problem::new(entry.place, &entry.key, message).hint(WORD_RULE));
        return None;
    }
    let mut input = Input {
        name: entry.key.clone(),
        kind: InputKind::Text,
        required: false,
        default: None,
        description: None,
    };
    if entry.value.is_null() {
        return Some(input);
    }
    let fields = reader.fields(&entry.value, &INPUT)?;
    input.kind = input_kind(reader, &fields)?;
    if let Some(entry) = fields.find("required") {
        input.required = reader.truth(&entry.value, "`required`")?;
    }
    if let Some(entry) = fields.find("description") {
        input.description = Some(reader.plain_text(&entry.value, "`description`")?.value);
    }
    if let Some(entry) = fields.find("default") {
        let default = reader.text(&entry.value, "`default`")?;
        if let Err(words) = input.kind.check(&default.value) {
            let message = format!("this cannot be the default: {words}");
            reader.report(Problem::new(default.place, &default.value, message));
            return None;
        }
        input.default = Some(default.value);
    }
    Some(input)
}

fn input_kind(reader: &mut Reader, fields: &Fields<'_>) -> Option<InputKind> {
    const KINDS: [&str; 4] = ["string", "number", "boolean", "choice"];
    let kind = match fields.find("type") {
        Some(entry) => reader.one_of(&entry.value, "`type`", &KINDS)?,
        None => "string",
    };
    let options = fields.find("options");
    if let (Some(options), false) = (options, kind == "choice") {
        let problem = Problem::new(
            options.place,
            "options",
            "`options` goes with `type: choice`",
        );
        reader.report(problem);
        return None;
    }
    Some(match (kind, options) {
        ("number", _) => InputKind::Number,
        ("boolean", _) => InputKind::Boolean,
        ("choice", Some(options)) => {
            let items = reader.list(&options.value, "`options`", INPUTS_MAX);
            let mut texts = Vec::new();
            for item in items {
                texts.push(reader.plain_text(item, "`options`")?.value);
            }
            InputKind::Choice(texts)
        }
        ("choice", None) => {
            let problem = Problem::new(fields.place, "choice", "the choice has no `options`");
            reader.report(problem.hint("write `options: [small, large]`"));
            return None;
        }
        _ => InputKind::Text,
    })
}

impl InputKind {
    /// Whether this may be said, or why not.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.len() > INPUT_BYTES_MAX {
            return Err(format!("it is longer than {INPUT_BYTES_MAX} bytes"));
        }
        let is_fit = match self {
            Self::Text => !value.contains(['\n', '\r', '\0']),
            Self::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Choice(options) => options.iter().any(|option| option == value),
        };
        match (is_fit, self) {
            (true, _) => Ok(()),
            (false, Self::Text) => Err("it must be one line of text".into()),
            (false, Self::Number) => Err("it must be a number".into()),
            (false, Self::Boolean) => Err("it must be `true` or `false`".into()),
            (false, Self::Choice(options)) => {
                Err(format!("it must be one of {}", options.join(", ")))
            }
        }
    }

    /// The word for it in files.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Choice(_) => "choice",
        }
    }
}

/// Reads `concurrency`: a mapping, or the group alone.
pub(crate) fn concurrency(reader: &mut Reader, node: &Node) -> Option<ConcurrencyDefinition> {
    if !matches!(node.kind, Kind::Mapping(_)) {
        return Some(ConcurrencyDefinition {
            group: reader.template(node, "`concurrency`")?,
            newest: Newest::Wins,
        });
    }
    let fields = reader.fields(node, &CONCURRENCY)?;
    let newest = match fields.find("newest") {
        Some(entry) => match reader.one_of(&entry.value, "`newest`", &["wins", "waits"])? {
            "waits" => Newest::Waits,
            _ => Newest::Wins,
        },
        None => Newest::Wins,
    };
    let Some(entry) = fields.find("group") else {
        let problem = Problem::new(fields.place, "concurrency", "`group` is missing");
        reader.report(problem.hint("say what its runs have in common: `group: ${{ branch }}`"));
        return None;
    };
    Some(ConcurrencyDefinition {
        group: reader.template(&entry.value, "`group`")?,
        newest,
    })
}
