-- What tells an older event from a newer one, and an event that no webhook told.

-- Where branches, tags and open pull requests stood when they were last handled.
create table heads (
    repo_id integer not null references repos (id),
    name text not null,                         -- refs/heads/main, refs/tags/v1, refs/pull/7/head
    sha text not null,                          -- of a commit; of an annotated tag, that of the tag itself
    delivery_id integer references deliveries (id),        -- that was handled; null: it was there when we first looked
    event_at integer,                           -- when it came there, by GitHub's clock, if known
    primary key (repo_id, name)
) strict, without rowid;

alter table deliveries add column found_by text not null default 'webhook'
    check (found_by in ('webhook', 'reconciliation'));

alter table runs add column event_at integer; -- when its event happened, by GitHub's clock; null: not an event, or not known

alter table repos add column looked_at integer; -- when we first noted all of its heads; null: not yet

-- Up to which moment GitHub's own list of deliveries has been compared with ours; 0: never.
insert into counters (name, value) values ('hooks', 0);
