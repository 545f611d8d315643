//! A pipeline as the text of its file, in the order in which people write one.

use super::model::{
    Build, Cache, Concurrency, Filter, Input, Job, Matrix, Pairs, Pipeline, Service, Status, Step,
    Triggers, When,
};
use super::yaml::{self, Field, Item, Out};

/// The file; `from` says what it was translated from.
pub(super) fn file(pipeline: &Pipeline, from: &str) -> String {
    let head = [
        format!("Translated from {from} by `seaworthy import`."),
        "Look for \"by hand\": what stands there has no translation.".to_owned(),
    ];
    let mut fields = Vec::new();
    fields.push(field("on", triggers(&pipeline.triggers)));
    if let Some(one) = &pipeline.concurrency {
        fields.push(apart("concurrency", concurrency(one)));
    }
    if !pipeline.env.is_empty() {
        fields.push(apart("env", Out::pairs(&pipeline.env)));
    }
    let mut jobs: Vec<Field> = Vec::new();
    for one in &pipeline.jobs {
        let is_first = jobs.is_empty();
        jobs.push(Field {
            above: one.by_hand.clone(),
            key: one.name.clone(),
            value: Some(job(one)),
            apart: !is_first,
        });
    }
    if !pipeline.by_hand.is_empty() {
        jobs.push(Field {
            above: pipeline.by_hand.clone(),
            key: String::new(),
            value: None,
            apart: true,
        });
    }
    fields.push(apart("jobs", Out::Block(jobs)));
    yaml::write(&head, &fields)
}

fn field(key: &str, value: Out) -> Field {
    Field {
        above: Vec::new(),
        key: key.to_owned(),
        value: Some(value),
        apart: false,
    }
}

fn apart(key: &str, value: Out) -> Field {
    Field {
        apart: true,
        ..field(key, value)
    }
}

/// Entries of a mapping that leaves out what is not said.
#[derive(Default)]
struct Entries(Vec<(String, Out)>);

impl Entries {
    fn put(&mut self, key: &str, value: Out) {
        self.0.push((key.to_owned(), value));
    }

    fn text(&mut self, key: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.put(key, Out::text(text));
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.put(key, Out::texts(texts));
        }
    }

    fn pairs(&mut self, key: &str, pairs: &Pairs) {
        if !pairs.is_empty() {
            self.put(key, Out::pairs(pairs));
        }
    }

    /// One text by itself, several as a list.
    fn one_or_more(&mut self, key: &str, texts: &[String]) {
        match texts {
            [] => {}
            [one] => self.put(key, Out::text(one)),
            several => self.put(key, Out::texts(several)),
        }
    }
}

fn triggers(triggers: &Triggers) -> Out {
    if let Some(events) = bare_events(triggers) {
        return Out::texts(&events);
    }
    let mut fields = Vec::new();
    let mut filter = |key: &str, filter: &Option<Filter>| {
        if let Some(filter) = filter {
            let mut entries = Entries::default();
            entries.texts("branches", &filter.branches);
            entries.texts("tags", &filter.tags);
            entries.texts("paths", &filter.paths);
            let is_empty = entries.0.is_empty();
            let value = if is_empty {
                Out::Nothing
            } else {
                Out::Map(entries.0)
            };
            fields.push(field(key, value));
        }
    };
    filter("push", &triggers.push);
    filter("pull_request", &triggers.pull_request);
    if !triggers.schedule.is_empty() {
        let schedule = triggers.schedule.iter().map(|schedule| {
            let mut entries = Entries::default();
            entries.put("cron", Out::text(&schedule.cron));
            entries.text("zone", schedule.zone.as_ref());
            Item {
                above: Vec::new(),
                value: Some(Out::Map(entries.0)),
            }
        });
        fields.push(field("schedule", Out::Items(schedule.collect())));
    }
    match triggers.manual.as_deref() {
        None => {}
        Some([]) => fields.push(field("manual", Out::Nothing)),
        Some(inputs) => {
            let inputs = inputs.iter().map(|one| field(&one.name, input(one)));
            let inputs = Out::Block(inputs.collect());
            fields.push(field("manual", Out::Block(vec![field("inputs", inputs)])));
        }
    }
    Out::Block(fields)
}

/// The names of the events, if nothing else is said of any of them.
fn bare_events(triggers: &Triggers) -> Option<Vec<String>> {
    let is_bare = |filter: &Option<Filter>| filter.as_ref().is_none_or(Filter::is_empty);
    let is_asked = triggers
        .manual
        .as_deref()
        .is_some_and(|inputs| !inputs.is_empty());
    if !is_bare(&triggers.push)
        || !is_bare(&triggers.pull_request)
        || !triggers.schedule.is_empty()
        || is_asked
    {
        return None;
    }
    let all = [
        ("push", triggers.push.is_some()),
        ("pull_request", triggers.pull_request.is_some()),
        ("manual", triggers.manual.is_some()),
    ];
    let events = all.iter().filter(|(_, is_there)| *is_there);
    Some(events.map(|(name, _)| (*name).to_owned()).collect())
}

fn input(input: &Input) -> Out {
    let mut entries = Entries::default();
    entries.put("type", Out::text(input.kind));
    entries.texts("options", &input.options);
    entries.text("default", input.default.as_ref());
    if input.required {
        entries.put("required", Out::text("true"));
    }
    entries.text("description", input.description.as_ref());
    Out::Map(entries.0)
}

fn concurrency(one: &Concurrency) -> Out {
    let mut entries = Entries::default();
    entries.put("group", Out::text(&one.group));
    let newest = if one.newest_wins { "wins" } else { "waits" };
    entries.put("newest", Out::text(newest));
    Out::Map(entries.0)
}

fn when(when: &When) -> Out {
    let mut entries = Entries::default();
    entries.one_or_more("branch", &when.branch);
    entries.one_or_more("tag", &when.tag);
    entries.one_or_more("event", &when.event);
    entries.one_or_more("path", &when.path);
    if let Some(status) = when.status {
        let status = match status {
            Status::Success => "success",
            Status::Failure => "failure",
            Status::Always => "always",
        };
        entries.put("status", Out::text(status));
    }
    if !when.matrix.is_empty() {
        let mut axes = Entries::default();
        for (axis, values) in &when.matrix {
            axes.one_or_more(axis, values);
        }
        entries.put("matrix", Out::Map(axes.0));
    }
    Out::Map(entries.0)
}

fn job(job: &Job) -> Out {
    let mut entries = Entries::default();
    entries.texts("needs", &job.needs);
    if !job.when.is_empty() {
        entries.put("when", when(&job.when));
    }
    entries.text("image", job.image.as_ref());
    if !job.services.is_empty() {
        let services = job.services.iter();
        let services = services.map(|one| (one.name.clone(), service(one)));
        entries.put("services", Out::Map(services.collect()));
    }
    if !job.matrix.is_empty() {
        entries.put("matrix", matrix(&job.matrix));
    }
    entries.pairs("env", &job.env);
    match job.caches.as_slice() {
        [] => {}
        [one] => entries.put("cache", cache(one)),
        several => entries.put(
            "cache",
            Out::Items(several.iter().map(cache_item).collect()),
        ),
    }
    if let Some(one) = &job.build {
        entries.put("build", build(one));
    } else {
        entries.put("steps", steps(job));
    }
    if !job.junit.is_empty() {
        let mut junit = Entries::default();
        junit.one_or_more("junit", &job.junit);
        entries.put("reports", Out::Map(junit.0));
    }
    entries.texts("artifacts", &job.artifacts);
    entries.pairs("outputs", &job.outputs);
    entries.text("timeout", job.timeout.as_ref());
    if let Some(retry) = &job.retry {
        let attempts = Out::Text(retry.attempts.to_string());
        match retry.on.is_empty() {
            true => entries.put("retry", attempts),
            false => {
                let on = ("on".to_owned(), Out::texts(&retry.on));
                let retry = vec![("attempts".to_owned(), attempts), on];
                entries.put("retry", Out::Map(retry));
            }
        }
    }
    let fields = entries.0.into_iter();
    Out::Block(fields.map(|(key, value)| field(&key, value)).collect())
}

fn service(service: &Service) -> Out {
    if service.env.is_empty() && service.ready.is_none() {
        return Out::text(&service.image);
    }
    let mut entries = Entries::default();
    entries.put("image", Out::text(&service.image));
    entries.pairs("env", &service.env);
    entries.text("ready", service.ready.as_ref());
    Out::Map(entries.0)
}

fn matrix(matrix: &Matrix) -> Out {
    let mut fields = Vec::new();
    for (axis, values) in &matrix.axes {
        fields.push(field(axis, Out::texts(values)));
    }
    for (key, list) in [("include", &matrix.include), ("exclude", &matrix.exclude)] {
        if !list.is_empty() {
            let items = list.iter().map(|pairs| Item {
                above: Vec::new(),
                value: Some(Out::pairs(pairs)),
            });
            fields.push(field(key, Out::Items(items.collect())));
        }
    }
    Out::Block(fields)
}

fn cache(cache: &Cache) -> Out {
    let mut entries = Entries::default();
    entries.texts("key", &cache.key);
    entries.texts("paths", &cache.paths);
    Out::Map(entries.0)
}

fn cache_item(one: &Cache) -> Item {
    Item {
        above: Vec::new(),
        value: Some(cache(one)),
    }
}

fn build(build: &Build) -> Out {
    let mut entries = Entries::default();
    entries.put("image", Out::text(&build.image));
    entries.text("context", build.context.as_ref());
    entries.text("dockerfile", build.dockerfile.as_ref());
    entries.text("target", build.target.as_ref());
    entries.texts("platforms", &build.platforms);
    entries.pairs("args", &build.args);
    entries.texts("secrets", &build.secrets);
    entries.texts("tags", &build.tags);
    Out::Map(entries.0)
}

fn steps(job: &Job) -> Out {
    let item = |one: &Step| Item {
        above: one.by_hand.clone(),
        value: Some(step(one)),
    };
    let mut items: Vec<Item> = job.steps.iter().map(item).collect();
    if !job.after_steps.is_empty() {
        items.push(Item {
            above: job.after_steps.clone(),
            value: None,
        });
    }
    Out::Items(items)
}

fn step(step: &Step) -> Out {
    let mut entries = Entries::default();
    entries.text("name", step.name.as_ref());
    entries.text("image", step.image.as_ref());
    if !step.when.is_empty() {
        entries.put("when", when(&step.when));
    }
    entries.pairs("env", &step.env);
    entries.texts("secrets", &step.secrets);
    entries.text("timeout", step.timeout.as_ref());
    if entries.0.is_empty() {
        return Out::text(&step.run);
    }
    entries.put("run", Out::text(&step.run));
    // A step with more than a name is easier to read on several lines.
    let fields = entries.0.into_iter();
    Out::Block(fields.map(|(key, value)| field(&key, value)).collect())
}
