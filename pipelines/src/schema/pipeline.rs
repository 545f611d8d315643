//! The outer levels of a pipeline file.

use super::job::{Job, WholeJob};
use super::level;
use super::text::{Event, List, Map, Name, Nothing, OneOrMany, Or, Pattern, Text, Variable, Word};
use crate::limits::{INPUTS_MAX, JOBS_MAX, PATTERNS_MAX, SCHEDULES_MAX};

type Patterns = OneOrMany<Pattern, PATTERNS_MAX>;
/// Variables and their values.
pub(crate) type Env = Map<Variable, Text, { usize::MAX }>;

level! {
    /// One pipeline: what starts it, and the jobs it is made of.
    Pipeline needs ["on", "jobs"] {
        /// What starts a run: an event, a list of events, or a mapping of events and their filters.
        on: Or<OneOrMany<Event, 3>, Triggers>,
        /// Which runs do not go on beside one another. The short form is the group alone.
        concurrency: Or<Text, Concurrency>,
        /// Variables of every step. A job's win over these, a step's over the job's.
        env: Env,
        /// Jobs, or parts of jobs, that `extends` takes.
        templates: Map<Name, Job, { usize::MAX }>,
        /// The jobs, by their names.
        jobs: Map<Name, WholeJob, JOBS_MAX>,
    }
}

level! {
    /// What starts a run. A key without a value stands for the event without any filter.
    Triggers needs [] {
        /// Commits or a tag have been pushed.
        push: Or<Push, Nothing>,
        /// A pull request has been opened or reopened, or has new commits.
        pull_request: Or<PullRequest, Nothing>,
        /// At certain times, on the default branch. After downtime, one run catches up.
        schedule: OneOrMany<Schedule, SCHEDULES_MAX>,
        /// A person starts it, from the page or the API.
        manual: Or<Manual, Nothing>,
    }
}

level! {
    /// Which pushes. With only `branches`, tags start nothing, and the other way round; with
    /// neither, every push does.
    Push needs [] {
        /// Branches. `*` is anything but `/`, `**` as a whole part is any number of parts, and `!`
        /// before a pattern leaves out, wherever it stands.
        branches: Patterns,
        /// Tags.
        tags: Patterns,
        /// Files; at least one that has changed must fit. Not looked at for tags.
        paths: Patterns,
    }
}

level! {
    /// Which pull requests.
    PullRequest needs [] {
        /// Branches that they want to go into.
        branches: Patterns,
        /// Files; at least one that the pull request changes must fit.
        paths: Patterns,
    }
}

level! {
    /// When, without anybody asking.
    Schedule needs ["cron"] {
        /// Five fields: minute, hour, day, month, weekday. They mean what the clock on the wall
        /// says: a time that is skipped when clocks go forward comes right after the gap, one that
        /// is there twice comes once.
        cron: Text,
        /// A name of the time zone database, such as `Europe/Berlin`. `UTC` if nothing is said.
        zone: Text,
    }
}

level! {
    /// What a person who starts a run may say.
    Manual needs [] {
        /// The inputs, by their names. Scripts get them as `SEAWORTHY_INPUT_NAME`.
        inputs: Map<Word, Or<Input, Nothing>, INPUTS_MAX>,
    }
}

level! {
    /// One thing that a person who starts a run may say.
    Input needs [] {
        /// What may be said. `string` if nothing is said.
        #[schemars(rename = "type")]
        kind: InputKind,
        /// The values of a `choice`.
        options: List<Text, INPUTS_MAX>,
        /// What holds if nothing is said.
        default: Text,
        /// Whether something must be said. `false` if nothing is said.
        required: bool,
        /// A sentence for the form.
        description: Text,
    }
}

/// What may be said.
#[derive(schemars::JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) enum InputKind {
    String,
    Number,
    Boolean,
    Choice,
}

level! {
    /// Runs of one group do not go on beside one another.
    Concurrency needs ["group"] {
        /// What its runs have in common, such as `${{ branch }}`.
        group: Text,
        /// `wins`: a newer run ends the older ones, but never a deploy that is rolling out.
        /// `waits`: it starts when they have ended. `wins` if nothing is said.
        newest: Newest,
    }
}

/// What becomes of the older ones.
#[derive(schemars::JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) enum Newest {
    Wins,
    Waits,
}

level! {
    /// A file that other repositories take jobs from: `extends: owner/name@reference:path#template`.
    TemplateFile needs [] {
        /// The templates, by their names.
        templates: Map<Name, Job, { usize::MAX }>,
    }
}
