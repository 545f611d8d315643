-- How large logs are, what retention has deleted, and what it must leave alone.

alter table attempts add column log_bytes integer;          -- of its log; null: not packed yet
alter table attempts add column log_stored_bytes integer;   -- the same on the disk; null: not packed yet
alter table attempts add column log_deleted_at integer;     -- by retention; the bytes go right after
create index attempts_unpacked on attempts (finished_at)
    where log_stored_bytes is null and finished_at is not null;
create index attempts_logs on attempts (finished_at, log_bytes, log_stored_bytes)
    where log_stored_bytes > 0 and log_deleted_at is null;
create index attempts_deleting on attempts (log_deleted_at)
    where log_stored_bytes > 0 and log_deleted_at is not null;

alter table artifacts add column deleted_at integer;        -- by retention
create index artifacts_kept on artifacts (created_at, bytes) where deleted_at is null;

alter table runs add column kept_at integer;                -- when a person said that all of it stays
create index runs_kept on runs (id) where kept_at is not null;

-- The runs whose logs and artifacts may go once they are old enough: not those that somebody wants to
-- keep, that made what runs in an environment now, or that passed last on the default branch.
create view disposable_runs as
select runs.id from runs join repos on repos.id = runs.repo_id
where runs.finished_at is not null and runs.kept_at is null
  and not exists (
      select 1 from environments
      join deploys on deploys.id = environments.live_deploy_id
      join releases on releases.id = deploys.release_id
      where environments.repo_id = runs.repo_id and runs.id in (deploys.run_id, releases.run_id))
  and runs.id is not (
      select passed.id from runs as passed
      where passed.repo_id = runs.repo_id and passed.branch = repos.default_branch
        and passed.pipeline = runs.pipeline and passed.state = 'passed'
      order by passed.number desc limit 1);
