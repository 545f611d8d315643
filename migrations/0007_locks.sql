-- Who stopped deploys to an environment, why, and when. A lock ends by a person's hand.
alter table environments add column locked_by text;
alter table environments add column locked_reason text;
alter table environments add column locked_at integer;
