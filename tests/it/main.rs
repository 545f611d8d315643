//! Stories: the real programs, from a signed push to what a person sees. One module for each part
//! of the promise; everything they share is in the library beside them.

mod cancel;
mod deliveries;
mod delivery;
mod deploy;
mod deploy_loss;
mod docs;
mod engine_loss;
mod examples;
mod exec;
mod faults;
mod files;
mod github_api;
mod hostile;
mod image;
mod killed;
mod kills;
mod language;
mod lifecycle;
mod limits;
mod log_page;
mod network;
mod order;
mod races;
mod reattach;
mod reconcile;
mod replay;
mod runner_disk;
mod runner_loss;
mod scenarios;
mod schedules;
mod schema;
mod secrets;
mod security;
mod stored_bytes;
mod tidy;
