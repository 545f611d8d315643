-- What is asked for by every look at the metrics, without reading the whole history.
create index runs_state on runs (state);
