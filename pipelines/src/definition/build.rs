//! What a job builds: `build`.

use super::keys::BUILD;
use super::problem::{At, Problem};
use super::reader::Reader;
use super::tree::Node;
use super::{BuildDefinition, Env, keep, syntax};
use crate::expression::Template;
use crate::limits::{PLATFORMS_MAX, TAGS_MAX};
use crate::names::{ImageRepository, is_image_reference, is_image_tag};

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
    let target = target.and_then(|entry| reader.late_template(&entry.value, "`target`"));
    let platforms = match fields.find("platforms") {
        Some(entry) => platforms(reader, &entry.value),
        None => Vec::new(),
    };
    let secrets = match fields.find("secrets") {
        Some(entry) => keep::secrets(reader, &entry.value),
        None => Vec::new(),
    };
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
        platforms,
        args,
        secrets,
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

/// Platforms as Docker writes them: `linux/amd64`, `linux/arm/v7`.
fn platforms(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut platforms: Vec<String> = Vec::new();
    for item in reader.list(node, "`platforms`", PLATFORMS_MAX) {
        let Some(text) = reader.plain_text(item, "`platforms`") else {
            continue;
        };
        let is_part = |part: &str| {
            (1..=32).contains(&part.len())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let parts: Vec<_> = text.value.split('/').collect();
        let problem = |message: &str| Problem::new(text.place, &text.value, message);
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| is_part(part)) {
            let problem = problem("this is not a platform");
            reader.report(problem.hint("write `linux/amd64` or `linux/arm64`"));
        } else if platforms.contains(&text.value) {
            reader.report(problem("this platform is there twice"));
        } else {
            platforms.push(text.value);
        }
    }
    platforms
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
        let Some(tag) = reader.late_template(item, "a tag") else {
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
