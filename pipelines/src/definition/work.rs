//! What a job builds or deploys.

use super::keys::{BUILD, DEPLOY, VERIFY};
use super::problem::{At, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Kind, Node};
use super::{BuildDefinition, DeployDefinition, Env, SourceDefinition, syntax};
use crate::expression::Template;
use crate::limits::{BAKE_DEFAULT, JOB_TIMEOUT_MAX, ROLLOUT_DEADLINE_DEFAULT, TAGS_MAX};
use crate::names::{ImageRepository, JobName, is_image_reference, is_image_tag};
use crate::plan::{Strategy, Verify};

/// Reads `build`.
pub(crate) fn build(reader: &mut Reader, node: &Node) -> Option<BuildDefinition> {
    let fields = reader.fields(node, &BUILD)?;
    let image = match fields.find("image") {
        Some(entry) => build_image(reader, &entry.value),
        None => {
            let problem = Problem::new(fields.place, "build", "`image` is missing");
            reader.report(problem.hint("say where the image is pushed: `image: registry/name`"));
            None
        }
    };
    let context = fields.find("context");
    let context = context.and_then(|entry| reader.path(&entry.value, "`context`"));
    let context = context.map_or_else(|| ".".to_owned(), |text| text.value);
    let dockerfile = fields.find("dockerfile");
    let dockerfile = dockerfile.and_then(|entry| reader.path(&entry.value, "`dockerfile`"));
    let dockerfile = match dockerfile {
        Some(text) => text.value,
        None => beside(&context),
    };
    let target = fields.find("target");
    let target = target.and_then(|entry| reader.template(&entry.value, "`target`"));
    let args = match fields.find("args") {
        Some(entry) => syntax::env(reader, &entry.value, "`args`"),
        None => Env::new(),
    };
    let tags = match fields.find("tags") {
        Some(entry) => tags(reader, &entry.value),
        None => Vec::new(),
    };
    Some(BuildDefinition {
        image: image?,
        context,
        dockerfile,
        target,
        platforms: Vec::new(),
        args,
        secrets: Vec::new(),
        tags,
    })
}

/// The Dockerfile of a context that names none.
fn beside(context: &str) -> String {
    let context = context.trim_end_matches('/');
    match context {
        "." | "" => "Dockerfile".into(),
        folder => format!("{folder}/Dockerfile"),
    }
}

fn build_image(reader: &mut Reader, node: &Node) -> Option<At<Template>> {
    let image = reader.template(node, "`image`")?;
    let Some(text) = image.value.literal() else {
        return Some(image);
    };
    match text.parse::<ImageRepository>() {
        Ok(_) => Some(image),
        Err(error) => {
            let message = format!("this is not a valid {}", error.what);
            let problem = Problem::new(image.place, text, message);
            reader.report(match is_image_reference(text) {
                true => problem.hint("leave the tag out here, and give it under `tags`"),
                false => problem.hint(error.rule),
            });
            None
        }
    }
}

fn tags(reader: &mut Reader, node: &Node) -> Vec<At<Template>> {
    let items = reader.items(node, "`tags`");
    if items.len() > TAGS_MAX {
        let count = items.len();
        let message = format!("the image has {count} tags; at most {TAGS_MAX} may be");
        reader.report(Problem::new(node.place, "", message));
        return Vec::new();
    }
    let mut tags = Vec::new();
    for item in items {
        let Some(tag) = reader.template(item, "a tag") else {
            continue;
        };
        match tag.value.literal() {
            Some(text) if !is_image_tag(text) => {
                let problem = Problem::new(tag.place, text, "this is not a valid tag");
                reader.report(problem.hint(
                    "use up to 128 letters, digits, `_`, `.`, `-`, not beginning with `.` or `-`",
                ));
            }
            Some(_) | None => tags.push(tag),
        }
    }
    tags
}

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
    if let Some(entry) = fields.find("strategy") {
        strategy(reader, &entry.value);
    }
    let verify = verify(reader, &fields);
    Some(DeployDefinition {
        environment: environment?,
        source: source?,
        strategy: Strategy::Rolling,
        verify,
    })
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
            let path = path?.value;
            Some(SourceDefinition::Manifests {
                path,
                images,
                before: Vec::new(),
            })
        }
        (None, Some(promote)) => {
            if let Some(images) = fields.find("images") {
                let message = "`images` goes with `manifests`; a promotion takes the same images";
                reader.report(Problem::new(images.place, "images", message));
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

fn strategy(reader: &mut Reader, node: &Node) {
    const LATER: [&str; 3] = ["recreate", "blue_green", "canary"];
    let (text, place) = match &node.kind {
        Kind::Scalar { .. } => match reader.plain_text(node, "`strategy`") {
            Some(text) => (text.value, text.place),
            None => return,
        },
        Kind::Mapping(entries) if entries.len() == 1 => (entries[0].key.clone(), entries[0].place),
        Kind::Mapping(_) | Kind::Sequence(_) => {
            return reader.wrong(node, "`strategy`", "the name of one strategy");
        }
    };
    let is_text = matches!(node.kind, Kind::Scalar { .. });
    let problem = if text == "rolling" && is_text {
        return;
    } else if LATER.contains(&text.as_str()) {
        Problem::new(place, &text, format!("`{text}` is not supported yet"))
            .hint("the strategy `rolling` is")
    } else if text == "rolling" {
        Problem::new(place, &text, "`rolling` has no settings").hint("write `strategy: rolling`")
    } else {
        let names = ["rolling"].into_iter().chain(LATER);
        Problem::new(place, &text, "this strategy is not known")
            .hint("known is rolling")
            .nearest(&text, names)
    };
    reader.report(problem);
}

fn verify(reader: &mut Reader, fields: &Fields<'_>) -> Verify {
    let max = JOB_TIMEOUT_MAX.as_secs();
    let deadline = fields.find("deadline");
    let deadline = deadline.and_then(|entry| reader.seconds(&entry.value, "`deadline`", max));
    let settings = fields.find("verify");
    let settings = settings.and_then(|entry| reader.fields(&entry.value, &VERIFY));
    let bake = settings.and_then(|fields| fields.find("bake"));
    let bake = bake.and_then(|entry| reader.seconds(&entry.value, "`bake`", max));
    Verify {
        bake_seconds: bake.unwrap_or(BAKE_DEFAULT.as_secs() as u32),
        deadline_seconds: deadline.unwrap_or(ROLLOUT_DEADLINE_DEFAULT.as_secs() as u32),
        http: None,
    }
}
