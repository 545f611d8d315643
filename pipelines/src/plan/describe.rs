//! A plan in words, for people: what runs, behind what, and why the rest does not.

use std::fmt;

use super::{
    BuildWork, Condition, DeployWork, Plan, PlannedJob, ReleaseSource, Retry, RetryOn, Step,
    StepsWork, Strategy, Work,
};

/// The plan as text, a block a job. It is for reading only: it leaves out variables, and what is
/// longer than a line is cut.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page::default();
        page.line(0, &format!("pipeline {}", self.pipeline));
        if let Some(concurrency) = &self.concurrency {
            let (group, newest) = (&concurrency.group, concurrency.newest);
            page.line(0, &format!("group `{group}`: newest {}", newest.as_str()));
        }
        for used in &self.templates {
            let (source, commit) = (&used.source, used.commit.short());
            page.line(0, &format!("templates of {source} at {commit}"));
        }
        for planned in &self.jobs {
            page.text.push('\n');
            job(&mut page, planned);
        }
        f.write_str(&page.text)
    }
}

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 160;

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// One line. A name may hold whatever a file can, and must not move a terminal's cursor.
    fn line(&mut self, depth: usize, words: &str) {
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let count = words.chars().count();
        self.text.extend(std::iter::repeat_n("  ", depth));
        match count > LINE_CHARS_MAX {
            true => {
                let cut = words.chars().take(LINE_CHARS_MAX - 1).map(shown);
                self.text.extend(cut.chain(['…']));
            }
            false => self.text.extend(words.chars().map(shown)),
        }
        self.text.push('\n');
    }

    /// `needs a, b`, if there are any.
    fn list<T: fmt::Display>(&mut self, what: &str, items: &[T]) {
        if !items.is_empty() {
            self.line(1, &format!("{what} {}", joined(items)));
        }
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    let words: Vec<_> = items.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn job(page: &mut Page, job: &PlannedJob) {
    let mut head = format!("{}: {}", job.name, job.work.kind().as_str());
    if !job.matrix.is_empty() {
        let values = job.matrix.iter();
        let values: Vec<_> = values
            .map(|(axis, value)| format!("{axis} {value}"))
            .collect();
        head = format!("{head} of `{}` with {}", job.group, values.join(", "));
    }
    page.line(0, &head);
    if let Some(reason) = &job.skip {
        page.line(1, &format!("skipped: {reason}"));
    }
    page.list("needs", &job.needs);
    match job.condition {
        Condition::Success => {}
        Condition::Failure => page.line(1, "runs only if something it needs has failed"),
        Condition::Always => page.line(1, "runs however what it needs has ended"),
    }
    match &job.work {
        Work::Steps(work) => steps(page, work),
        Work::Build(work) => build(page, work),
        Work::Deploy(work) => deploy(page, work),
    }
    retry(page, &job.retry);
    page.line(1, &format!("at most {}", duration(job.timeout_seconds)));
}

fn retry(page: &mut Page, retry: &Retry) {
    if retry.attempts == 0 {
        return;
    }
    let mut ends = vec!["an infrastructure error".to_owned()];
    ends.extend(retry.on.iter().map(|on| match on {
        RetryOn::Failure => "any failure".to_owned(),
        RetryOn::Timeout => "a timeout".to_owned(),
        RetryOn::Exit(code) => format!("exit code {code}"),
    }));
    let times = match retry.attempts {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    page.line(1, &format!("again up to {times} after {}", ends.join(", ")));
}

fn steps(page: &mut Page, work: &StepsWork) {
    for service in &work.services {
        let ready = service.ready.as_ref();
        let ready = ready.map(|command| format!(", ready when `{command}`"));
        let (name, image) = (&service.name, &service.image);
        let words = format!("service {name}: {image}{}", ready.unwrap_or_default());
        page.line(1, &words);
    }
    for cache in &work.caches {
        let files = match cache.files.as_slice() {
            [] => String::new(),
            files => format!(" by {}", joined(files)),
        };
        page.line(1, &format!("cache {}{files}", joined(&cache.paths)));
    }
    for each in &work.steps {
        step(page, each);
    }
    for (name, path) in &work.outputs {
        page.line(1, &format!("output {name} from {path}"));
    }
    page.list("artifacts", &work.artifacts);
    page.list("reports", &work.junit);
}

fn step(page: &mut Page, step: &Step) {
    let mut words = format!("step {} in {}", step.name, step.image);
    if !step.secrets.is_empty() {
        words = format!("{words}, with secrets {}", joined(&step.secrets));
    }
    match step.condition {
        Condition::Success => {}
        Condition::Failure => words += ", only after a failure",
        Condition::Always => words += ", also after a failure",
    }
    if let Some(seconds) = step.timeout_seconds {
        words = format!("{words}, at most {}", duration(seconds));
    }
    page.line(1, &words);
    if let Some(reason) = &step.skip {
        page.line(2, &format!("skipped: {reason}"));
    }
}

fn build(page: &mut Page, work: &BuildWork) {
    let target = work.target.as_ref();
    let target = target.map(|target| format!(", target {target}"));
    let (file, context) = (&work.dockerfile, &work.context);
    let words = format!("image {} of {file}", work.image);
    let target = target.unwrap_or_default();
    page.line(1, &format!("{words} in {context}{target}"));
    page.list("platforms", &work.platforms);
    page.list("tags", &work.tags);
    page.list("secrets", &work.secrets);
}

fn deploy(page: &mut Page, work: &DeployWork) {
    let (environment, namespace) = (&work.environment, &work.namespace);
    page.line(1, &format!("to {environment}, namespace {namespace}"));
    match &work.source {
        ReleaseSource::Manifests {
            path,
            images,
            before,
        } => {
            page.line(1, &format!("manifests {path}"));
            for (image, job) in images {
                page.line(1, &format!("container image {image} from job `{job}`"));
            }
            page.list("first", before);
        }
        ReleaseSource::Promote { environment, job } => {
            let words = format!("the release that job `{job}` has verified on {environment}");
            page.line(1, &words);
        }
        ReleaseSource::Stored { release } => {
            page.line(1, &format!("release #{release}, as it is stored"));
        }
    }
    let strategy = match &work.strategy {
        Strategy::Rolling => "rolling".to_owned(),
        Strategy::Recreate => "recreate".to_owned(),
        Strategy::BlueGreen { keep_seconds } => {
            format!("blue-green, old pods stay {}", duration(*keep_seconds))
        }
        Strategy::Canary {
            steps,
            hold_seconds,
        } => {
            let parts: Vec<_> = steps.iter().map(|part| format!("{part} %")).collect();
            let hold = duration(*hold_seconds);
            format!("canary {}, each watched {hold}", joined(&parts))
        }
    };
    page.line(1, &format!("strategy {strategy}"));
    let verify = &work.verify;
    let bake = duration(verify.bake_seconds);
    let http = verify.http.as_ref();
    let http = http.map(|address| format!(", {address} must answer"));
    page.line(
        1,
        &format!("verified for {bake}{}", http.unwrap_or_default()),
    );
}

/// `90s`, `20m`, `2h`: the largest unit that leaves nothing over.
fn duration(seconds: u32) -> String {
    match seconds {
        0 => "0s".to_owned(),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_fits() {
        let told = [0, 1, 60, 90, 1200, 3600, 5400, 7200].map(duration);
        assert_eq!(told.join(" "), "0s 1s 1m 90s 20m 1h 90m 2h");
    }

    #[test]
    fn a_line_holds_nothing_that_a_terminal_obeys_and_is_cut() {
        let mut page = Page::default();
        page.line(1, "a\u{1b}[2Jb\nc");
        page.line(0, &"ü".repeat(LINE_CHARS_MAX));
        page.line(0, &"ü".repeat(LINE_CHARS_MAX + 1));
        let lines: Vec<_> = page.text.lines().collect();
        assert_eq!(lines[0], "  a [2Jb c");
        assert_eq!(lines[1], "ü".repeat(LINE_CHARS_MAX));
        assert_eq!(lines[2], format!("{}…", "ü".repeat(LINE_CHARS_MAX - 1)));
    }
}
