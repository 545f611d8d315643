//! The last look at a pipeline before it is written: what our own reader would refuse is put right
//! or taken out, with a note. Sources are written by people, and hold whatever people write.

use super::condition::by_hand_only;
use super::images;
use super::model::{Filter, Job, Notes, Pairs, Pipeline, When, by_hand};
use super::names;
use crate::definition::{At, Place, is_cache_path};
use crate::expression::Template;
use crate::names::{ImageRepository, is_image_reference};
use crate::pattern::Patterns;

/// Puts right what the reader would refuse.
pub(super) fn mend(pipeline: &mut Pipeline, notes: &mut Notes) {
    let triggers = &mut pipeline.triggers;
    for filter in [&mut triggers.push, &mut triggers.pull_request]
        .into_iter()
        .flatten()
    {
        patterns_of(filter, notes);
    }
    variables(&mut pipeline.env, &[], 1, notes);
    let all: Vec<String> = pipeline.jobs.iter().map(|job| job.name.clone()).collect();
    for job in &mut pipeline.jobs {
        let own = job.name.clone();
        job.needs.retain(|need| *need != own && all.contains(need));
        let mut seen = Vec::new();
        job.needs.retain(|need| {
            let is_new = !seen.contains(need);
            seen.push(need.clone());
            is_new
        });
        of_job(job, notes);
    }
}

fn of_job(job: &mut Job, notes: &mut Notes) {
    let line = job.line.max(1);
    let axes: Vec<String> = job
        .matrix
        .axes
        .iter()
        .map(|(axis, _)| axis.clone())
        .collect();
    job.matrix
        .exclude
        .retain(|row| row.iter().all(|(axis, _)| axes.contains(axis)));
    if job.matrix.is_empty() {
        job.matrix.exclude.clear();
    }
    let names: Vec<String> = job
        .matrix
        .names()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    when(&mut job.when, &names, (line, &mut job.by_hand), notes);
    variables(&mut job.env, &names, line, notes);
    kept(job, &names, notes);
    job.steps.retain(|step| !step.run.trim().is_empty());
    for step in &mut job.steps {
        when(&mut step.when, &names, (line, &mut step.by_hand), notes);
        variables(&mut step.env, &names, line, notes);
        step.image = step
            .image
            .take()
            .filter(|image| good_image(image, &names, line, notes));
    }
    if job.build.is_some() {
        of_build(job, &names, notes);
        return;
    }
    let image = job.image.as_ref();
    let has_bad = image.is_some_and(|image| !good_image(image, &names, line, notes));
    let is_missing = image.is_none() && job.steps.iter().any(|step| step.image.is_none());
    if has_bad || is_missing {
        job.by_hand.push(by_hand(line, "the image"));
        job.image = Some(images::LINUX.into());
    }
}

/// Services and caches.
fn kept(job: &mut Job, names: &[String], notes: &mut Notes) {
    let line = job.line.max(1);
    job.services.retain_mut(|service| {
        variables(&mut service.env, names, line, notes);
        let is_good = is_image(&service.image, names);
        if !is_good {
            let hint = "add it to `services` with its image";
            notes.add(
                line,
                &service.image,
                "this is not an image of a service",
                hint,
            );
        }
        service.ready = service.ready.take().filter(|ready| !ready.contains("${{"));
        is_good
    });
    for cache in &mut job.caches {
        cache
            .paths
            .retain(|path| path.contains("${{") || is_cache_path(path));
        cache.key.retain(|pattern| is_pattern(pattern));
    }
    job.caches.retain(|cache| !cache.paths.is_empty());
}

fn of_build(job: &mut Job, names: &[String], notes: &mut Notes) {
    let line = job.line.max(1);
    job.image = None;
    let Some(build) = &mut job.build else { return };
    let is_good = match build.image.contains("${{") {
        true => has_known_gaps(&build.image, names) && !build.image.contains("//"),
        false => build.image.parse::<ImageRepository>().is_ok(),
    };
    if !is_good {
        let hint = "write where it goes under `image`";
        notes.add(
            line,
            &build.image,
            "it is not known where the image is pushed",
            hint,
        );
        job.by_hand.push(by_hand(line, "where the image is pushed"));
        build.image = "registry.example.com/${{ repository }}".into();
    }
    variables(&mut build.args, names, line, notes);
    build.tags.retain(|tag| has_known_gaps(tag, names));
    build.platforms.retain(|platform| is_platform(platform));
    let is_path = |path: &String| {
        !path.starts_with(['/', '-']) && !path.contains("..") && !path.contains("${{")
    };
    build.context = build.context.take().filter(is_path);
    build.dockerfile = build.dockerfile.take().filter(is_path);
}

fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_word = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    matches!(parts.len(), 2 | 3) && parts[0] == "linux" && parts.iter().all(is_word)
}

fn good_image(image: &str, axes: &[String], line: u32, notes: &mut Notes) -> bool {
    let is_good = is_image(image, axes);
    if !is_good {
        let why = "this is not an image, or not one whose name is known here";
        notes.add(line, &format!("image: {image}"), why, "write the image out");
    }
    is_good
}

fn is_image(image: &str, axes: &[String]) -> bool {
    match image.contains("${{") {
        true => has_known_gaps(image, axes) && !image.replace("${{", "").contains('$'),
        false => is_image_reference(image),
    }
}

/// Whether all that stands in `${{ … }}` is known where it stands.
fn has_known_gaps(text: &str, axes: &[String]) -> bool {
    let template = Template::parse(&At {
        value: text.to_owned(),
        place: Place::START,
    });
    let mut axis_names = text.split("${{ matrix.").skip(1);
    template.is_ok()
        && axis_names.all(|rest| {
            let name = rest.split(' ').next().unwrap_or_default();
            axes.iter().any(|axis| axis == name)
        })
}

/// Leaves out variables that could not be set, and gaps that could not be filled.
fn variables(env: &mut Pairs, axes: &[String], line: u32, notes: &mut Notes) {
    env.retain_mut(|(key, value)| {
        let is_name = names::is_variable(key) && !key.starts_with("SEAWORTHY_");
        let why = match is_name {
            true if has_known_gaps(value, axes) => return true,
            true => "there is nothing to fill this in with",
            false => "this cannot be the name of a variable",
        };
        notes.add(
            line,
            &format!("{key}: {value}"),
            why,
            "set it in the script",
        );
        false
    });
}

fn is_pattern(text: &str) -> bool {
    !text.contains("${{") && Patterns::default().add(text).is_ok()
}

fn patterns_of(filter: &mut Filter, notes: &mut Notes) {
    for list in [&mut filter.branches, &mut filter.tags, &mut filter.paths] {
        list.retain(|text| {
            let is_good = is_pattern(text);
            if !is_good {
                let why = "this is no pattern here";
                notes.add(1, text, why, "write one with `*` and `**`");
            }
            is_good
        });
    }
}

/// A condition with what is no pattern cannot be said, and what asks for an axis needs one.
fn when(
    when: &mut When,
    axes: &[String],
    (line, comments): (u32, &mut Vec<String>),
    notes: &mut Notes,
) {
    let lists = [&when.branch, &when.tag, &when.path];
    let patterns = lists.into_iter().flatten();
    let values = when.matrix.iter().flat_map(|(_, values)| values);
    let bad: Vec<String> = patterns
        .chain(values)
        .filter(|text| !is_pattern(text))
        .cloned()
        .collect();
    let unknown = when.matrix.iter().find(|(axis, _)| !axes.contains(axis));
    let text = bad.first().or(unknown.map(|(axis, _)| axis)).cloned();
    let Some(text) = text else { return };
    let why = "`when` cannot say this";
    notes.add(
        line,
        &text,
        why,
        "write a `when` that says it, or test for it in the script",
    );
    comments.push(by_hand(line, &format!("when: {text}")));
    *when = by_hand_only();
}
