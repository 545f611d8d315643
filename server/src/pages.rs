//! The pages people look at: complete without a script, live with one.
//!
//! A page is a query, a struct and a template of the same name. Pages only read; what people do is
//! in `web/actions.rs`.

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

mod admin;
mod ansi;
mod ask;
mod assets;
mod check;
mod deliveries;
mod deploy;
mod environments;
mod find;
mod frame;
mod job;
mod lines;
mod links;
mod log;
pub(crate) mod login;
mod moments;
mod overview;
mod parts;
mod raw;
mod redeploy;
mod repo;
mod run;
mod runners;
mod start;
mod storage;
#[cfg(debug_assertions)]
mod ui;
mod whole;
mod why;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use frame::Notice;
pub(crate) use moments::day;

/// Every page. Who may see them says `web/access.rs`.
pub(crate) fn routes() -> Router<App> {
    let routes = Router::new()
        .route("/", get(overview::page))
        .route("/static/{*path}", get(assets::serve))
        .route("/repos/{owner}/{repo}", get(repo::page))
        .route("/repos/{owner}/{repo}/runs/{number}", get(run::page))
        .merge(run_tabs())
        .route(
            "/repos/{owner}/{repo}/check",
            get(check::page).post(check::text),
        )
        .route(
            "/repos/{owner}/{repo}/start",
            get(start::page).post(start::start),
        )
        .route(
            "/repos/{owner}/{repo}/runs/{number}/jobs/{job}",
            get(job::page),
        )
        .route(
            "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log",
            get(log::lines),
        )
        .route(
            "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log.txt",
            get(raw::page),
        )
        .route(
            "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log/all",
            get(whole::page),
        )
        .route("/environments", get(environments::board))
        .route(
            "/repos/{owner}/{repo}/environments",
            get(environments::of_repo),
        )
        .route(
            "/repos/{owner}/{repo}/environments/{environment}",
            get(environments::page),
        )
        .route(
            "/repos/{owner}/{repo}/environments/{environment}/deploy",
            get(redeploy::page).post(redeploy::start),
        )
        .route(
            "/repos/{owner}/{repo}/environments/{environment}/lock",
            post(redeploy::lock),
        )
        .route(
            "/repos/{owner}/{repo}/environments/{environment}/unlock",
            post(redeploy::unlock),
        )
        .route("/repos/{owner}/{repo}/deploys/{number}", get(deploy::page))
        .route("/runners", get(runners::page))
        .route("/queue", get(runners::queue))
        .route("/audit", get(admin::audit))
        .route("/storage", get(storage::page))
        .route("/deliveries", get(deliveries::page))
        .route("/deliveries/{id}", get(deliveries::one));
    #[cfg(debug_assertions)]
    let routes = routes.route("/_ui", get(ui::page));
    routes
}

/// The other pages of a run.
fn run_tabs() -> Router<App> {
    let run = |tail: &str| format!("/repos/{{owner}}/{{repo}}/runs/{{number}}/{tail}");
    Router::new()
        .route(&run("graph"), get(run::graph::page))
        .route(&run("timing"), get(run::timing::page))
        .route(&run("tests"), get(run::tests::page))
        .route(&run("artifacts"), get(run::artifacts::page))
        .route(&run("file"), get(run::file::page))
        .route(&run("events"), get(run::events::page))
}
