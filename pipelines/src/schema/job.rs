//! Jobs, their steps, and what stands beside them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::level;
use super::pipeline::Env;
use super::text::{
    Image, List, Map, Name, OneOrMany, Or, Path, Pattern, Reason, Script, Secret, Source, Span,
    Text, Word,
};
use super::work::{Build, Deploy};
use crate::limits::{
    CACHES_MAX, JOBS_MAX, MATRIX_AXES_MAX, NEEDS_MAX, OUTPUTS_MAX, PATTERNS_MAX, RETRIES_MAX,
    SECRETS_MAX, SERVICES_MAX, STEPS_MAX,
};

type Patterns = OneOrMany<Pattern, PATTERNS_MAX>;
/// Names of secrets.
pub(crate) type Secrets = OneOrMany<Secret, SECRETS_MAX>;

level! {
    /// A job is exactly one of `steps`, `build` and `deploy`. It starts at once, or after what it
    /// `needs`; a job that is skipped says why. `image`, `env`, `secrets`, `services`, `cache`,
    /// `artifacts`, `reports` and `outputs` are for jobs with `steps`.
    Job needs [] {
        /// A template that gives what the job does not say itself: one of this file by its name, or
        /// one of another repository as `owner/name@reference:path#template`. The job's keys take
        /// the place of the template's; `env` is joined variable by variable.
        extends: Source,
        /// Jobs that must pass first. To need a job with a matrix is to need all its cells.
        needs: OneOrMany<Name, NEEDS_MAX>,
        /// What must hold for the job to run.
        when: When,
        /// Makes a job of every combination of values.
        matrix: Matrix,
        /// The image that steps run in, such as `rust:1.95`.
        image: Image,
        /// Variables of every step of the job.
        env: Env,
        /// Secrets that every step gets: as the file `/run/secrets/NAME`, and as a variable called
        /// like it in upper case. A run from a fork has none.
        secrets: Secrets,
        /// Containers that run beside the steps and are reached by their names. The short form is
        /// the image alone.
        services: Map<Name, Or<Image, Service>, SERVICES_MAX>,
        /// Folders kept from run to run.
        cache: OneOrMany<Cache, CACHES_MAX>,
        /// Commands, one after the other, over the same workspace.
        steps: List<Or<Script, Step>, STEPS_MAX>,
        /// Builds an image and pushes it.
        build: Build,
        /// Rolls a release out to an environment.
        deploy: Deploy,
        /// Files to keep and offer, as patterns in the workspace.
        artifacts: Patterns,
        /// Reports to read when the steps have ended, whatever their end.
        reports: Reports,
        /// Names, and the files that hold their values. Later jobs have them as
        /// `${{ jobs.JOB.outputs.NAME }}`, their scripts as `SEAWORTHY_OUTPUT_JOB_NAME`.
        outputs: Map<Word, Path, OUTPUTS_MAX>,
        /// How long an attempt may take, such as `90s`, `10m`, `1h30m`; an hour if nothing is said.
        timeout: Span,
        /// How often more the job is tried. A number alone is for failures of the infrastructure;
        /// what the work itself did wrong is tried again only if `on` says so.
        retry: Or<RetryCount, Retry>,
    }
}

/// A job that knows what it does, be it from a template.
pub(crate) struct WholeJob;

impl JsonSchema for WholeJob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WholeJob".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<Job>();
        let does = ["steps", "build", "deploy"].map(|key| json_schema!({ "required": [key] }));
        let is_taken = json_schema!({ "required": ["extends"] });
        let ways = [is_taken, json_schema!({ "oneOf": does })].map(Schema::to_value);
        schema.insert("anyOf".to_owned(), ways.to_vec().into());
        schema
    }
}

/// A number of attempts.
pub(crate) struct RetryCount;

impl JsonSchema for RetryCount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetryCount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": RETRIES_MAX, "title": "number" })
    }
}

level! {
    /// Several keys must all hold; of a list, any. `!` before a value leaves it out.
    When needs [] {
        /// Branches; of a pull request, its own.
        branch: Patterns,
        /// Tags.
        tag: Patterns,
        /// Events: `push`, `pull_request`, `schedule`, `manual`.
        event: OneOrMany<Text, PATTERNS_MAX>,
        /// Files, of which one must have changed.
        path: Patterns,
        /// `success` (if nothing is said), `failure` or `always`: how what comes before has ended.
        /// Of a job that is all jobs behind it, of a step the steps before it.
        status: OneOrMany<Status, 3>,
        /// Values of axes, by their names: which cells of the matrix.
        matrix: Map<Word, Patterns, MATRIX_AXES_MAX>,
    }
}

/// How what comes before has ended.
#[derive(schemars::JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) enum Status {
    Success,
    Failure,
    Always,
}

/// A job is made of every combination of the values of its axes, which are keys of the author's
/// choice beside the two below. A value stays as it is written: `3.10` is `3.10`. Texts have it as
/// `${{ matrix.AXIS }}`, scripts as `SEAWORTHY_MATRIX_AXIS`.
#[derive(schemars::JsonSchema)]
#[schemars(extend(
    "additionalProperties" = axis(),
    "propertyNames" = { "pattern": "^[a-z][a-z0-9_-]{0,62}$" },
    "required" = [],
))]
#[expect(dead_code, reason = "only its shape and comments are of use")]
pub(crate) struct Matrix {
    /// Values that are added to the cells they agree with; without such a cell, a cell of its own.
    include: OneOrMany<Cell, JOBS_MAX>,
    /// Cells that agree with one of these are left out.
    exclude: OneOrMany<Cell, JOBS_MAX>,
}

type Cell = Map<Word, Text, MATRIX_AXES_MAX>;

fn axis() -> serde_json::Value {
    let mut generator = SchemaGenerator::default();
    OneOrMany::<Text, JOBS_MAX>::json_schema(&mut generator).to_value()
}

level! {
    /// When a job is tried again. Every attempt can be seen.
    Retry needs [] {
        /// How often more. 1 if nothing is said.
        attempts: RetryCount,
        /// Reasons beside failures of the infrastructure: `exit:75` (any code but 0), `timeout`,
        /// `failure` (any).
        on: OneOrMany<Reason, 32>,
    }
}

level! {
    /// A container beside the steps.
    Service needs ["image"] {
        /// Its image.
        image: Image,
        /// Its variables.
        env: Env,
        /// A command that runs in it, until it succeeds: then the steps begin. Without one, the
        /// service is ready when it runs.
        ready: Text,
        /// How long that may take; two minutes if nothing is said.
        timeout: Span,
    }
}

level! {
    /// Folders kept from run to run. Runs of forks have their own.
    Cache needs ["paths"] {
        /// Files by whose content the cache is known, as patterns. If there is none of the same
        /// content, the newest of this job is taken.
        key: Patterns,
        /// What is kept: paths of the workspace, or absolute ones.
        paths: OneOrMany<Path, PATTERNS_MAX>,
    }
}

level! {
    /// Reports that the run's pages show.
    Reports needs [] {
        /// JUnit files, as patterns. Failed tests are named in the run's summary.
        junit: Patterns,
    }
}

level! {
    /// A command in a container of its own. The short form is the command alone.
    Step needs ["run"] {
        /// How pages call it; the beginning of the command if nothing is said.
        name: Text,
        /// The command, for `sh -e`. `${{ … }}` is never filled in here: the same values are there
        /// as variables.
        run: Script,
        /// An image of its own.
        image: Image,
        /// Variables; they win over the job's and the file's.
        env: Env,
        /// Secrets for this step alone.
        secrets: Secrets,
        /// What must hold for the step to run.
        when: When,
        /// How long it may take; as long as the job if nothing is said.
        timeout: Span,
    }
}
