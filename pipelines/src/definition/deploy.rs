//! What a job deploys: `deploy`.

use super::keys::{BLUE_GREEN, CANARY, DEPLOY, STRATEGY, VERIFY};
use super::problem::{At, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Entry, Kind, Node};
use super::{DeployDefinition, SourceDefinition};
use crate::limits::{
    BAKE_DEFAULT, BEFORE_MAX, BLUE_GREEN_KEEP, CANARY_HOLD, CANARY_STEPS, CANARY_STEPS_MAX,
    JOB_TIMEOUT_MAX, ROLLOUT_DEADLINE_DEFAULT,
};
use crate::names::{JobName, is_image_reference};
use crate::plan::{Strategy, Verify};

/// Reads `deploy`.
pub(crate) fn deploy(reader: &mut Reader, node: &Node) -> Option<DeployDefinition> {
    let fields = reader.fields(node, &DEPLOY)?;
    let environment = match fields.find("environment") {
        Some(entry) => reader.name(&entry.value, "`environment`"),
        None => {
            let problem = Problem::new(fields.place, "deploy", "`environment` is missing");
            reader.report(problem.hint("say where to: `environment: staging`"));
            None
        }
    };
    let source = source(reader, &fields);
    let strategy = match fields.find("strategy") {
        Some(entry) => strategy(reader, &entry.value),
        None => Some(Strategy::Rolling),
    };
    let verify = verify(reader, &fields);
    let later = later(&fields, strategy.as_ref());
    Some(DeployDefinition {
        later,
        environment: environment?,
        source: source?,
        strategy: strategy?,
        verify,
    })
}

/// What is read and planned, but what no runner of this version carries out. It must be told before
/// anything is built: a deploy that goes another way than its file says would be worse than none.
fn later(fields: &Fields<'_>, strategy: Option<&Strategy>) -> Vec<Problem> {
    let mut all = Vec::new();
    let mut add = |entry: &Entry, what: &str, hint: &str| {
        let message = format!("{what} is not carried out by this version");
        all.push(Problem::new(entry.place, &entry.key, message).hint(hint));
    };
    if let (
        Some(entry),
        Some(Strategy::Recreate | Strategy::BlueGreen { .. } | Strategy::Canary { .. }),
    ) = (fields.find("strategy"), strategy)
    {
        let hint = "deploy with `rolling`; a Deployment may say `Recreate` in its own manifest";
        add(entry, "this strategy", hint);
    }
    if let Some(entry) = fields.find("before") {
        add(
            entry,
            "`before`",
            "run what must come first in a job that this one needs",
        );
    }
    let verify = fields.find("verify");
    if let Some(Kind::Mapping(entries)) = verify.map(|entry| &entry.value.kind)
        && let Some(entry) = entries.iter().find(|entry| entry.key == "http")
    {
        add(
            entry,
            "`http`",
            "a readiness probe of the pods is waited for",
        );
    }
    all
}

fn source(reader: &mut Reader, fields: &Fields<'_>) -> Option<SourceDefinition> {
    let (manifests, promote) = (fields.find("manifests"), fields.find("promote"));
    match (manifests, promote) {
        (None, None) => {
            let message = "the deploy has neither `manifests` nor `promote`";
            let problem = Problem::new(fields.place, "deploy", message);
            reader.report(problem.hint("say what is deployed: `manifests: deploy/`"));
            None
        }
        (Some(_), Some(promote)) => {
            let message = "a deploy has only one of `manifests` and `promote`";
            let problem = Problem::new(promote.place, "promote", message);
            reader.report(problem.hint("`promote` deploys what the other environment runs"));
            None
        }
        (Some(manifests), None) => {
            let path = reader.path(&manifests.value, "`manifests`");
            let images = match fields.find("images") {
                Some(entry) => images(reader, &entry.value),
                None => Vec::new(),
            };
            let before = match fields.find("before") {
                Some(entry) => before(reader, &entry.value),
                None => Vec::new(),
            };
            Some(SourceDefinition::Manifests {
                path: path?.value,
                images,
                before,
            })
        }
        (None, Some(promote)) => {
            for key in ["images", "before"] {
                if let Some(strange) = fields.find(key) {
                    let message = format!(
                        "`{key}` goes with `manifests`; a promotion deploys the same release"
                    );
                    reader.report(Problem::new(strange.place, key, message));
                }
            }
            let environment = reader.name(&promote.value, "`promote`")?;
            Some(SourceDefinition::Promote(environment))
        }
    }
}

fn images(reader: &mut Reader, node: &Node) -> Vec<(String, At<JobName>)> {
    let Some(entries) = reader.mapping(node, "`images`") else {
        return Vec::new();
    };
    let mut images = Vec::new();
    for entry in entries {
        if !is_image_reference(&entry.key) {
            let problem = Problem::new(entry.place, &entry.key, "this is not a valid image");
            reader.report(problem.hint("write the image's name as the manifests do"));
        } else if let Some(job) = reader.name(&entry.value, &format!("`{}`", entry.key)) {
            images.push((entry.key.clone(), job));
        }
    }
    images
}

fn before(reader: &mut Reader, node: &Node) -> Vec<String> {
    let items = reader.list(node, "`before`", BEFORE_MAX);
    let paths = items
        .iter()
        .filter_map(|item| reader.path(item, "`before`"));
    paths.map(|path| path.value).collect()
}

/// A strategy by its name alone, or with its settings.
fn strategy(reader: &mut Reader, node: &Node) -> Option<Strategy> {
    let (name, settings) = match &node.kind {
        Kind::Scalar { .. } => (reader.one_of(node, "`strategy`", STRATEGY.known)?, None),
        Kind::Mapping(entries) if entries.len() == 1 => {
            reader.fields(node, &STRATEGY)?;
            let entry = &entries[0];
            let known = STRATEGY.known.iter();
            let name = known.copied().find(|name| *name == entry.key)?;
            (name, (!entry.value.is_null()).then_some(&entry.value))
        }
        Kind::Mapping(_) | Kind::Sequence(_) => {
            reader.wrong(node, "`strategy`", "the name of one strategy");
            return None;
        }
    };
    match (name, settings) {
        ("blue_green", settings) => blue_green(reader, settings),
        ("canary", settings) => canary(reader, settings),
        (_, Some(settings)) => {
            let problem = Problem::new(settings.place, name, format!("`{name}` has no settings"));
            reader.report(problem.hint(format!("write `strategy: {name}`")));
            None
        }
        ("recreate", None) => Some(Strategy::Recreate),
        (_, None) => Some(Strategy::Rolling),
    }
}

fn blue_green(reader: &mut Reader, settings: Option<&Node>) -> Option<Strategy> {
    let mut keep_seconds = BLUE_GREEN_KEEP.as_secs() as u32;
    if let Some(settings) = settings {
        let fields = reader.fields(settings, &BLUE_GREEN)?;
        if let Some(entry) = fields.find("keep") {
            keep_seconds = reader.seconds(&entry.value, "`keep`", JOB_TIMEOUT_MAX.as_secs())?;
        }
    }
    Some(Strategy::BlueGreen { keep_seconds })
}

fn canary(reader: &mut Reader, settings: Option<&Node>) -> Option<Strategy> {
    let (mut steps, mut hold_seconds) = (CANARY_STEPS.to_vec(), CANARY_HOLD.as_secs() as u32);
    if let Some(settings) = settings {
        let fields = reader.fields(settings, &CANARY)?;
        if let Some(entry) = fields.find("hold") {
            hold_seconds = reader.seconds(&entry.value, "`hold`", JOB_TIMEOUT_MAX.as_secs())?;
        }
        if let Some(entry) = fields.find("steps") {
            steps = canary_steps(reader, &entry.value)?;
        }
    }
    Some(Strategy::Canary {
        steps,
        hold_seconds,
    })
}

fn canary_steps(reader: &mut Reader, node: &Node) -> Option<Vec<u32>> {
    let mut steps: Vec<u32> = Vec::new();
    for item in reader.list(node, "`steps`", CANARY_STEPS_MAX) {
        let text = reader.plain_text(item, "`steps`")?;
        let number = text.value.strip_suffix('%').map(str::parse::<u32>);
        let last = steps.last().copied().unwrap_or(0);
        match number {
            Some(Ok(percent)) if percent > last && percent < 100 => steps.push(percent),
            _ => {
                let message = "the steps of a canary are rising shares below `100%`";
                let problem = Problem::new(text.place, &text.value, message);
                reader.report(
                    problem.hint("write `steps: [10%, 50%]`; all pods follow by themselves"),
                );
                return None;
            }
        }
    }
    (!steps.is_empty()).then_some(steps)
}

fn verify(reader: &mut Reader, fields: &Fields<'_>) -> Verify {
    let max = JOB_TIMEOUT_MAX.as_secs();
    let deadline = fields.find("deadline");
    let deadline = deadline.and_then(|entry| reader.seconds(&entry.value, "`deadline`", max));
    let settings = fields.find("verify");
    let settings = settings.and_then(|entry| reader.fields(&entry.value, &VERIFY));
    let bake = settings.and_then(|fields| fields.find("bake"));
    let bake = bake.and_then(|entry| reader.seconds(&entry.value, "`bake`", max));
    let http = settings.and_then(|fields| fields.find("http"));
    let http = http.and_then(|entry| address(reader, &entry.value));
    Verify {
        bake_seconds: bake.unwrap_or(BAKE_DEFAULT.as_secs() as u32),
        deadline_seconds: deadline.unwrap_or(ROLLOUT_DEADLINE_DEFAULT.as_secs() as u32),
        http: http.map(|text| text.value),
    }
}

fn address(reader: &mut Reader, node: &Node) -> Option<At<String>> {
    let text = reader.plain_text(node, "`http`")?;
    let rest = text
        .value
        .strip_prefix("http://")
        .or_else(|| text.value.strip_prefix("https://"));
    let is_fit = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.value.len() <= 2048
        && !text.value.contains(['@', ' '])
        && !text.value.chars().any(char::is_control);
    if !is_fit {
        let problem = Problem::new(text.place, &text.value, "this is not an address");
        reader.report(problem.hint("write `http://service.namespace/path`, without a password"));
        return None;
    }
    Some(text)
}
