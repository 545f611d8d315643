-- The history: what came in, what was run, what was released, who did the work.
-- Moments are whole milliseconds since 1970 in UTC. States are words with a CHECK.
-- Logs live outside the database (server/src/objects.rs).

-- Webhook deliveries, stored before they are acknowledged.
create table deliveries (
    id integer primary key,
    guid text not null unique,                  -- GitHub's X-GitHub-Delivery: equal on a redelivery
    event text not null,                        -- X-GitHub-Event
    body_digest blob not null,                  -- SHA-256 of the signed body: equal on a replay under a new guid
    body blob not null,
    repository_id integer,                      -- GitHub's, of the repository it is about; null if it is about none
    received_at integer not null,
    repeats integer not null default 0,         -- how often it came again
    state text not null default 'stored' check (state in ('stored', 'done', 'ignored', 'failed')),
    outcome text,                               -- in words, once handled
    attempts integer not null default 0,
    next_at integer not null,                   -- not before this moment, after a failure
    handled_at integer,
    unique (event, body_digest)
) strict;
create index deliveries_open on deliveries (next_at) where state = 'stored';
create index deliveries_order on deliveries (repository_id, id) where state = 'stored';

create table repos (
    id integer primary key,                     -- GitHub's numeric id: survives renames and transfers
    installation_id integer not null,
    owner text not null,
    name text not null,
    default_branch text not null,
    private integer not null,
    last_run_number integer not null default 0,
    last_release_number integer not null default 0,
    last_deploy_number integer not null default 0,
    created_at integer not null
) strict;
create unique index repos_name on repos (owner collate nocase, name collate nocase);

create table runs (
    id integer primary key,
    repo_id integer not null references repos (id),
    number integer not null,
    pipeline text not null,
    delivery_id integer references deliveries (id),
    event text not null check (event in ('push', 'pull_request', 'schedule', 'manual')),
    trust text not null check (trust in ('trusted', 'fork')),
    branch text,
    tag text,
    pull_request integer,
    commit_sha text not null,
    title text not null,
    author text not null,
    state text not null check (state in ('waiting', 'queued', 'running', 'passed', 'failed', 'cancelled', 'skipped', 'timed_out', 'infrastructure_error', 'superseded')),
    reason text,                                -- the first cause, as a sentence
    problems text not null default '[]',        -- JSON: what is wrong in the pipeline file
    file text,                                  -- the pipeline file as it was read
    inputs text not null default '{}',          -- JSON object of texts: what a person gave along
    templates text not null default '[]',       -- JSON: pipelines::plan::UsedTemplate
    concurrency_group text,                     -- runs of one repository that do not go on side by side
    concurrency_newest text check (concurrency_newest in ('wins', 'waits')),
    schedule_at integer,                        -- the moment a schedule meant, for a run it started
    created_at integer not null,
    started_at integer,
    finished_at integer,
    rerun_of integer references runs (id),
    unique (repo_id, number)
) strict;
create unique index runs_once on runs (delivery_id, pipeline) where delivery_id is not null;
create unique index runs_scheduled on runs (repo_id, pipeline, schedule_at) where schedule_at is not null;
create index runs_group on runs (repo_id, concurrency_group, number) where state in ('waiting', 'queued', 'running');
create index runs_branch on runs (repo_id, branch, number);
create index runs_open on runs (id) where state in ('waiting', 'queued', 'running');

create table jobs (
    id integer primary key,
    run_id integer not null references runs (id),
    position integer not null,                  -- in the plan, from 0
    name text not null,
    kind text not null check (kind in ('steps', 'build', 'deploy')),
    group_name text not null,                   -- the job of the file: cells of a matrix share it
    matrix text not null default '{}',          -- JSON object of texts: its cell
    needs text not null,                        -- JSON list of names
    condition text not null default 'success' check (condition in ('success', 'failure', 'always')),
    environment text,                           -- of a deploy
    work text not null,                         -- JSON: pipelines::plan::Work
    timeout_seconds integer not null,
    state text not null check (state in ('waiting', 'queued', 'running', 'passed', 'failed', 'cancelled', 'skipped', 'timed_out', 'infrastructure_error', 'superseded')),
    reason text,
    attempt integer not null default 0,         -- the present or last one
    retries_left integer not null,
    retry_on text not null default '[]',        -- JSON list of pipelines::plan::RetryOn
    runner_id integer references runners (id),  -- of the present lease
    fence integer,                              -- of the present lease
    stop text,                                  -- why the runner has been asked to stop
    stop_outcome text check (stop_outcome in ('cancelled', 'superseded')),
    outputs text not null default '{}',         -- JSON object of texts
    queued_at integer,
    started_at integer,
    finished_at integer,
    unique (run_id, name)
) strict;
create index jobs_queue on jobs (queued_at, id) where state = 'queued';
create index jobs_running on jobs (id) where state = 'running';

-- Every attempt of a job, one row for each claim.
create table attempts (
    job_id integer not null references jobs (id),
    attempt integer not null,
    runner_id integer not null references runners (id),
    fence integer not null unique,
    claim_key text not null unique,             -- a repeated claim gets the same job
    state text not null check (state in ('running', 'passed', 'failed', 'cancelled', 'skipped', 'timed_out', 'infrastructure_error', 'superseded')),
    reason text,
    started_at integer not null,
    finished_at integer,
    primary key (job_id, attempt)
) strict, without rowid;

create table steps (
    job_id integer not null references jobs (id),
    attempt integer not null,
    position integer not null,                  -- from 0
    name text not null,
    state text not null check (state in ('running', 'passed', 'failed', 'cancelled', 'skipped', 'timed_out', 'infrastructure_error', 'superseded')),
    exit_code integer,
    reason text,                                -- why it was skipped
    started_at integer not null,
    finished_at integer,
    primary key (job_id, attempt, position)
) strict, without rowid;

-- What happened to a run, append-only.
create table events (
    id integer primary key,
    run_id integer not null references runs (id),
    job_id integer references jobs (id),
    at integer not null,
    kind text not null,                         -- run.created, run.state, job.state, …
    detail text not null                        -- JSON
) strict;
create index events_run on events (run_id, id);
create trigger events_are_kept before update on events begin select raise(abort, 'events are append-only'); end;

-- Digests, rendered objects and commit: what can be rolled out.
create table releases (
    id integer primary key,
    repo_id integer not null references repos (id),
    number integer not null,
    run_id integer not null references runs (id),
    job_id integer not null unique references jobs (id),   -- the deploy job that made it
    commit_sha text not null,
    title text not null,
    images text not null,                       -- JSON: image name in the manifests → repository@digest
    bundle text,                                -- JSON: pipelines::wire::Bundle, once rendered
    created_at integer not null,
    unique (repo_id, number)
) strict;

create table deploys (
    id integer primary key,
    repo_id integer not null references repos (id),
    number integer not null,
    environment text not null,
    namespace text not null,
    release_id integer not null references releases (id),
    run_id integer not null references runs (id),
    job_id integer not null unique references jobs (id),
    state text not null check (state in ('queued', 'running', 'passed', 'failed', 'cancelled', 'skipped', 'timed_out', 'infrastructure_error', 'superseded')),
    verdict text,                               -- one sentence
    reason text,                                -- the first cause, if it failed
    progress text,                              -- JSON: pipelines::deploy::DeployProgress, the newest
    requests_probed integer,
    requests_failed integer,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    unique (repo_id, number)
) strict;
create index deploys_environment on deploys (repo_id, environment, id);

-- The environments of a repository, as its default branch last declared them.
create table environments (
    repo_id integer not null references repos (id),
    name text not null,
    position integer not null,                  -- in promotion order
    namespace text not null,
    branches text not null,                     -- JSON list of patterns
    after_environment text,
    live_deploy_id integer references deploys (id),        -- the last verified one
    primary key (repo_id, name)
) strict, without rowid;

create table runners (
    id integer primary key,
    name text not null unique,
    token_id text not null unique,              -- the public part of its token
    token_hash blob not null,                   -- SHA-256 of the secret part
    instance text,
    labels text not null default '[]',
    environments text not null default '[]',
    slots integer not null default 0,
    version text not null default '',
    engine text not null default '',
    created_at integer not null,
    last_seen_at integer,
    revoked_at integer
) strict;

-- What GitHub must still be told, in order for each subject.
create table outbox (
    id integer primary key,
    subject text not null,                      -- check:RUN
    payload text not null,                      -- JSON
    created_at integer not null,
    attempts integer not null default 0,
    next_at integer not null,
    done_at integer,
    error text                                  -- of the last attempt
) strict;
create index outbox_open on outbox (subject, id) where done_at is null;

-- The check run at GitHub of each run.
create table checks (
    run_id integer primary key references runs (id),
    github_id integer not null,
    sent_state text not null
) strict;

create table tokens (
    id integer primary key,
    name text not null unique,
    token_id text not null unique,
    token_hash blob not null,
    created_at integer not null,
    last_used_at integer,
    revoked_at integer
) strict;

-- One-time sign-in links.
create table logins (
    token_hash blob primary key,
    created_at integer not null,
    expires_at integer not null,
    used_at integer
) strict, without rowid;

create table sessions (
    token_hash blob primary key,
    user text not null,
    created_at integer not null,
    expires_at integer not null
) strict, without rowid;

-- Who did what, append-only.
create table audit (
    id integer primary key,
    at integer not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail text not null default ''
) strict;
create trigger audit_is_kept before update on audit begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_stays before delete on audit begin select raise(abort, 'the audit log is append-only'); end;

create table counters (
    name text primary key,                      -- fence
    value integer not null
) strict, without rowid;
insert into counters (name, value) values ('fence', 0);

-- Secrets, sealed: the key is a file beside the database, and the row's place is sealed in.
create table secrets (
    id integer primary key,
    repo_id integer references repos (id),      -- null: of every repository
    name text not null,
    sealed blob not null,
    branches text,                              -- pattern list, as in files; null: any branch and tag
    environments text not null default '[]',    -- JSON list: only deploys to these; empty: no such rule
    kinds text not null default '[]',           -- JSON list of job kinds; empty: all
    created_at integer not null,
    created_by text not null,
    changed_at integer not null
) strict;
create unique index secrets_name on secrets (coalesce(repo_id, 0), name);

-- Files kept from run to run; the bytes are in the object store.
create table caches (
    id integer primary key,
    repo_id integer not null references repos (id),
    scope text not null,                        -- trusted, or fork:PULL_REQUEST
    prefix text not null,
    key text not null,
    object text not null unique,                -- where the bytes are
    bytes integer not null,
    digest text not null,                       -- SHA-256 in hex
    job_id integer not null references jobs (id),          -- that made it
    created_at integer not null,
    used_at integer not null,
    unique (repo_id, scope, prefix, key)
) strict;
create index caches_used on caches (repo_id, used_at);

-- Files that a job leaves for people.
create table artifacts (
    id integer primary key,
    job_id integer not null references jobs (id),
    attempt integer not null,
    kind text not null check (kind in ('artifact', 'junit')),
    path text not null,                         -- relative to the workspace
    object text not null unique,
    bytes integer not null,
    digest text not null,                       -- SHA-256 in hex
    created_at integer not null,
    unique (job_id, attempt, kind, path)
) strict;

-- What JUnit reports said, one row for each attempt that had some.
create table test_reports (
    job_id integer not null references jobs (id),
    attempt integer not null,
    passed integer not null,
    failed integer not null,
    skipped integer not null,
    problems text not null,                     -- JSON list of sentences
    primary key (job_id, attempt)
) strict, without rowid;

create table test_cases (
    job_id integer not null references jobs (id),
    attempt integer not null,
    position integer not null,                  -- failed ones first
    suite text not null,
    name text not null,
    state text not null check (state in ('passed', 'failed', 'skipped')),
    millis integer not null,
    message text,
    primary key (job_id, attempt, position)
) strict, without rowid;

-- When pipelines start by themselves, as the default branch last said.
create table schedules (
    repo_id integer not null references repos (id),
    pipeline text not null,
    cron text not null,
    zone text not null,
    next_at integer not null,                   -- the moment it starts next
    primary key (repo_id, pipeline, cron, zone)
) strict, without rowid;
create index schedules_due on schedules (next_at);
