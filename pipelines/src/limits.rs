//! Every bound of the system, with its reason. A new bound belongs here.

use std::time::Duration;

/// Largest webhook body, in bytes: GitHub's own cap is 25 MB.
pub const WEBHOOK_BYTES_MAX: usize = 25 * 1024 * 1024;
/// A webhook body up to this many bytes is small: nearly all are.
pub const WEBHOOK_SMALL_BYTES_MAX: usize = 256 * 1024;
/// Most webhook bodies read at once: anybody can begin one, and only its end shows who has sent it.
pub const WEBHOOK_READERS: usize = 512;
/// Most webhook bodies read at once that are not small.
pub const WEBHOOK_LARGE_READERS: usize = 16;
/// Most connections at once: a thousand runners hold two or three each, and people who follow a log
/// one.
pub const CONNECTIONS_MAX: usize = 8192;
/// Largest pipeline file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most pipeline files read from `.seaworthy/` at one commit.
pub const FILES_MAX: usize = 50;
/// Most jobs of a pipeline.
pub const JOBS_MAX: usize = 500;
/// Most steps of a job.
pub const STEPS_MAX: usize = 200;
/// Most needs of a job.
pub const NEEDS_MAX: usize = 64;
/// Deepest nesting of a pipeline file.
pub const DEPTH_MAX: usize = 32;
/// Most bytes that the aliases of a file may repeat: against alias bombs.
pub const ALIAS_BYTES_MAX: usize = 256 * 1024;
/// Most patterns of one list.
pub const PATTERNS_MAX: usize = 64;
/// Most tags of one built image.
pub const TAGS_MAX: usize = 32;
/// Most platforms of one built image.
pub const PLATFORMS_MAX: usize = 8;
/// Most files of Jobs that run before a release is applied.
pub const BEFORE_MAX: usize = 16;
/// Most steps of a canary.
pub const CANARY_STEPS_MAX: usize = 20;
/// The steps of a canary that names none, in percent of the pods.
pub const CANARY_STEPS: [u32; 2] = [10, 50];
/// How long each step of a canary is watched, unless `hold` says otherwise.
pub const CANARY_HOLD: Duration = Duration::from_secs(5 * 60);
/// How long the old pods stay behind a switch, unless `keep` says otherwise.
pub const BLUE_GREEN_KEEP: Duration = Duration::from_secs(10 * 60);
/// Most environments of a repository.
pub const ENVIRONMENTS_MAX: usize = 50;
/// Most attempts `retry` may add.
pub const RETRIES_MAX: u32 = 10;
/// Most bytes of a plan: `env` of the file is repeated in every step, so a small file can ask for a huge one.
pub const PLAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most problems reported for one file: more help nobody.
pub const PROBLEMS_MAX: usize = 100;
/// How long a runner holds a job without being heard from.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often a runner renews its lease.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// Longest wait of one claim call.
pub const CLAIM_WAIT: Duration = Duration::from_secs(25);
/// Between TERM and KILL when a step is stopped.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// A job without `timeout`.
pub const JOB_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// The longest `timeout`.
pub const JOB_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a deploy is taken over from a lost runner before a person is asked.
pub const DEPLOY_TAKEOVERS_MAX: u32 = 5;
/// Largest log of one attempt, in bytes; what comes after is dropped, and the log says so.
pub const LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest line kept whole in a log, in bytes.
pub const LOG_LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest body of one log call, in bytes.
pub const LOG_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a log's lines that a page reads whole; what is longer than
/// [`LOG_PAGE_LINE_BYTES_MAX`] is cut once so much has been read.
pub const LOG_PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that a page then reads of one line.
pub const LOG_PAGE_LINE_BYTES_MAX: usize = 4 * 1024;
/// Lines of a log chunk as pages show and cache it.
pub const LOG_CHUNK_LINES: usize = 500;
/// Most lines of a log on one page: a browser's memory is the bound, and the raw log has none.
pub const LOG_WHOLE_LINES_MAX: u64 = 200_000;
/// Most matches of a search within a log that are told one by one; the total counts all.
pub const LOG_SEARCH_LINES: usize = 1000;
/// Longest pattern of such a search, in bytes.
pub const LOG_SEARCH_PATTERN_BYTES_MAX: usize = 1000;
/// A search within a log ends after this time, and then says how far it came.
pub const LOG_SEARCH_TIME: Duration = Duration::from_secs(3);
/// Largest single output of a job, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Largest report a runner may send, in bytes: a release bundle is the largest part.
pub const REPORT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Success of a rollout is watched this long for restarts, unless `verify.bake` says otherwise.
pub const BAKE_DEFAULT: Duration = Duration::from_secs(10);
/// A rollout that makes no progress for this long is late, and then failed.
pub const ROLLOUT_DEADLINE_DEFAULT: Duration = Duration::from_secs(600);
/// Memory of a step's container, in bytes.
pub const STEP_MEMORY_BYTES: i64 = 4 * 1024 * 1024 * 1024;
/// Processes and threads of a step's container.
pub const STEP_PIDS: i64 = 4096;
/// Most services of a job.
pub const SERVICES_MAX: usize = 16;
/// A service must be ready within this time.
pub const SERVICE_READY: Duration = Duration::from_secs(120);
/// Most caches of a job.
pub const CACHES_MAX: usize = 16;
/// Largest cache, packed, in bytes.
pub const CACHE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Largest cache, unpacked, in bytes: what a small archive may become.
pub const CACHE_UNPACKED_BYTES_MAX: u64 = 32 * 1024 * 1024 * 1024;
/// How many times its packed size a cache may become...
pub const CACHE_RATIO_MAX: u64 = 1000;
/// ... once it is larger than this, in bytes: a small file of zeros is no bomb.
pub const CACHE_RATIO_FREE_BYTES: u64 = 256 * 1024 * 1024;
/// Longest path in an archive, in bytes: Linux knows no longer one.
pub const ARCHIVE_PATH_BYTES_MAX: u64 = 4096;
/// Most files and folders of an archive.
pub const ARCHIVE_ENTRIES_MAX: u64 = 1_000_000;
/// Most artifacts of a job.
pub const ARTIFACTS_MAX: usize = 1000;
/// Largest artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Largest JUnit report, in bytes.
pub const JUNIT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most tests of one job that are kept one by one; the counts hold all.
pub const TEST_CASES_MAX: usize = 5000;
/// Most bytes kept of what a test says about its failure.
pub const TEST_MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Most bytes kept of the name of a test, and of its suite's.
pub const TEST_NAME_BYTES_MAX: usize = 512;
/// Most bytes of the tests of one job, so that their report can be sent: messages go first.
pub const TEST_REPORT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Deepest nesting of a JUnit report.
pub const JUNIT_DEPTH_MAX: usize = 64;
/// Most attributes of an element of a JUnit report.
pub const JUNIT_ATTRIBUTES_MAX: usize = 64;
/// Most outputs of a job.
pub const OUTPUTS_MAX: usize = 32;
/// Most secrets of a job or step.
pub const SECRETS_MAX: usize = 32;
/// Largest secret, in bytes: an environment variable holds 128 KiB with its name.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Most axes of a matrix.
pub const MATRIX_AXES_MAX: usize = 16;
/// Most schedules of a pipeline.
pub const SCHEDULES_MAX: usize = 16;
/// Most inputs of a manual run.
pub const INPUTS_MAX: usize = 32;
/// Longest value of an input, in bytes.
pub const INPUT_BYTES_MAX: usize = 4 * 1024;
/// How deep a template may extend another.
pub const EXTENDS_DEPTH_MAX: usize = 8;
/// Most files of other repositories that a pipeline may take templates from.
pub const TEMPLATE_FILES_MAX: usize = 16;
