//! A run on the terminal: lines that stay for what has ended, and below them what goes on.
//!
//! On a terminal the lines of running jobs are drawn again and again; elsewhere nothing is ever
//! drawn twice.

use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use pipelines::job::{Job, State, Status};
use pipelines::log::records;
use pipelines::names::JobName;
use pipelines::plan::Plan;
use pipelines::run::Run;
use pipelines::wire::Report;
use runner::local::News;

use super::words;

/// How often running jobs are drawn.
pub(super) const REDRAW: Duration = Duration::from_millis(200);
/// Lines shown of a failed job's log.
const TAIL_LINES: usize = 20;
/// The widest column of names.
const NAME_WIDTH_MAX: usize = 32;
/// The width of the column of steps.
const STEP_WIDTH: usize = 20;

/// What is shown of a run.
pub(super) struct Show {
    live: bool,
    verbose: bool,
    began: Instant,
    /// Lines of the moving part now on the screen.
    drawn: usize,
    turns: usize,
    width: usize,
    jobs: BTreeMap<JobName, Shown>,
    kept: Vec<String>,
}

/// What is known of one job.
#[derive(Default)]
struct Shown {
    state: Option<State>,
    attempt: u32,
    began: Option<Instant>,
    step: Option<(String, Instant)>,
    tail: VecDeque<String>,
}

impl Show {
    /// Shows on standard output.
    pub(super) fn new(verbose: bool, plan: &Plan) -> Self {
        let names = plan.jobs.iter().map(|job| job.name.as_str().len());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            live: std::io::stdout().is_terminal() && !dumb && !plain,
            verbose,
            began: Instant::now(),
            drawn: 0,
            turns: 0,
            width: names.max().unwrap_or(0).min(NAME_WIDTH_MAX),
            jobs: BTreeMap::new(),
            kept: Vec::new(),
        }
    }

    /// Writes a line that stays.
    pub(super) fn say(&mut self, line: &str) {
        self.write(&format!("{line}\n"));
    }

    /// Takes what a run tells.
    pub(super) fn hear(&mut self, news: News) {
        let mut lines = Vec::new();
        match news {
            News::Job(job) => self.job(&job, &mut lines),
            News::Report(name, report) => self.report(&name, report, &mut lines),
            News::Log(name, bytes) => self.log(&name, &bytes, &mut lines),
            News::Artifact { job, path, bytes } => {
                let size = words::size(bytes);
                self.kept.push(format!("artifact {job}: {path}, {size}"));
            }
        }
        if !lines.is_empty() {
            lines.push(String::new());
            self.write(&lines.join("\n"));
        }
    }

    fn job(&mut self, job: &Job, lines: &mut Vec<String>) {
        let shown = self.jobs.entry(job.name.clone()).or_default();
        let state = job.status.state();
        if shown.state == Some(state) && shown.attempt == job.attempt {
            return;
        }
        let is_retry = state == State::Queued && job.attempt > 0;
        shown.state = Some(state);
        shown.attempt = job.attempt;
        shown.step = None;
        let taken = shown.began.take().map(|began| began.elapsed());
        let reason = job.reason.as_deref().unwrap_or_default();
        match state {
            State::Waiting => return,
            State::Queued if is_retry => {
                let why = format!("attempt {} ended, another follows: {reason}", job.attempt);
                lines.push(self.line(&job.name, "", "again", (taken, &why)));
                return;
            }
            State::Queued => return,
            State::Running => {
                shown.began = Some(Instant::now());
                shown.tail.clear();
                if matches!(&job.status, Status::Running { stop: Some(_), .. }) || self.live {
                    return;
                }
            }
            State::Passed
            | State::Failed
            | State::Cancelled
            | State::Skipped
            | State::TimedOut
            | State::InfrastructureError
            | State::Superseded => {}
        }
        lines.push(self.line(&job.name, "", state.as_str(), (taken, reason)));
        let is_bad = matches!(
            state,
            State::Failed | State::TimedOut | State::InfrastructureError
        );
        if is_bad && !self.verbose {
            let tail = self.jobs.get(&job.name).map(|shown| &shown.tail);
            let tail = tail.into_iter().flatten();
            lines.extend(tail.map(|line| format!("  | {line}")));
        }
    }

    fn report(&mut self, name: &JobName, report: Report, lines: &mut Vec<String>) {
        let Some(shown) = self.jobs.get_mut(name) else {
            return;
        };
        match report {
            Report::StepStarted { name, .. } => shown.step = Some((name, Instant::now())),
            Report::StepFinished { outcome, .. } => {
                if let Some((step, began)) = shown.step.take() {
                    let outcome = outcome.state().as_str();
                    let taken = Some(began.elapsed());
                    lines.push(self.line(name, &step, outcome, (taken, "")));
                }
            }
            Report::StepSkipped {
                name: step, reason, ..
            } => lines.push(self.line(name, &step, "skipped", (None, &reason))),
            Report::Tests(report) => {
                let counts = format!(
                    "{} tests, {} failed, {} skipped",
                    report.passed + report.failed + report.skipped,
                    report.failed,
                    report.skipped
                );
                lines.push(self.line(name, "reports", "read", (None, &counts)));
            }
            Report::Deploy(picture) => {
                if let Some((step, _)) = &mut shown.step {
                    step.clone_from(&picture.verdict);
                }
            }
            Report::Bundle(_) | Report::Lost { .. } | Report::Finished { .. } => {}
        }
    }

    fn log(&mut self, name: &JobName, bytes: &[u8], lines: &mut Vec<String>) {
        let (verbose, live) = (self.verbose, self.live);
        let Some(shown) = self.jobs.get_mut(name) else {
            return;
        };
        for record in records(bytes) {
            let text = words::printable(record.text, live);
            if verbose {
                lines.push(format!("{name} | {text}"));
            }
            shown.tail.push_back(text);
            if shown.tail.len() > TAIL_LINES {
                shown.tail.pop_front();
            }
        }
    }

    /// Writes what remains to be said.
    pub(super) fn finish(&mut self, run: &Run) {
        let mut lines = std::mem::take(&mut self.kept);
        let mut counts: Vec<String> = Vec::new();
        for state in State::ALL {
            let jobs = run.jobs.iter();
            let count = jobs.filter(|job| job.status.state() == state).count();
            if count > 0 {
                counts.push(format!("{count} {}", spoken(state.as_str())));
            }
        }
        let state = run.state().as_str();
        lines.push(format!(
            "{} after {}: {}",
            self.painted(state, &spoken(state)),
            words::time(self.began.elapsed()),
            counts.join(", ")
        ));
        lines.push(String::new());
        self.write(&lines.join("\n"));
    }

    /// Draws the running jobs anew.
    pub(super) fn redraw(&mut self) {
        if self.live {
            self.turns += 1;
            self.write("");
        }
    }

    /// `job  step  outcome  time  words`.
    fn line(
        &self,
        job: &JobName,
        step: &str,
        outcome: &str,
        (taken, more): (Option<Duration>, &str),
    ) -> String {
        let step: String = step.chars().take(STEP_WIDTH).collect();
        let time = taken.map(words::time).unwrap_or_default();
        let outcome = self.painted(outcome, &format!("{:<9}", spoken(outcome)));
        let line = format!(
            "{:<width$}  {step:<STEP_WIDTH$}  {outcome} {time:>11}  {more}",
            job.as_str(),
            width = self.width
        );
        line.trim_end().to_owned()
    }

    /// In the colour of its outcome, where colours are shown.
    fn painted(&self, outcome: &str, text: &str) -> String {
        let colour = match outcome {
            "passed" => 32,
            "failed" | "timed_out" | "infrastructure_error" => 31,
            "running" | "again" => 33,
            _ => 2,
        };
        match self.live {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Writes text above the moving part, and the moving part below it.
    fn write(&mut self, text: &str) {
        let mut out = String::new();
        if self.drawn > 0 {
            // Back to its first line, and away with it.
            out += &format!("\x1b[{}A\r\x1b[J", self.drawn);
        }
        out += text;
        self.drawn = 0;
        if self.live {
            // Lines that are too long are cut by the terminal, so that each stays one line.
            out += "\x1b[?7l";
            for line in self.moving() {
                out += &line;
                out.push('\n');
                self.drawn += 1;
            }
            out += "\x1b[?7h";
        }
        let mut stdout = std::io::stdout().lock();
        // Whoever does not read any more does not want to know.
        let _ = stdout
            .write_all(out.as_bytes())
            .and_then(|()| stdout.flush());
    }

    fn moving(&self) -> Vec<String> {
        const SIGNS: [char; 4] = ['|', '/', '-', '\\'];
        let sign = SIGNS[self.turns % SIGNS.len()];
        let running = self.jobs.iter().filter_map(|(name, shown)| {
            let began = shown.began?;
            let step = shown.step.as_ref().map_or("", |(step, _)| step.as_str());
            let taken = Some(began.elapsed());
            Some(self.line(name, step, "running", (taken, &sign.to_string())))
        });
        running.collect()
    }
}

/// `timed out`, not `timed_out`.
fn spoken(word: &str) -> String {
    word.replace('_', " ")
}
