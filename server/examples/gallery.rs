//! Serves the pages over a seeded history, signed in: to look at them and to take pictures.
//!
//! `cargo run -p server --example gallery [PORT] [empty] [grow]`: without history, or with a running
//! job that prints on.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use pipelines::ids::{Attempt, JobId};
use server::app::App;
use server::config::Config;
use server::live::Topic;
use server::store::Store;

#[path = "../src/pages/tests/fixture.rs"]
mod fixture;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|word| word == wanted);
    let port = arguments.first().map_or("8099", String::as_str);
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path()).await?;
    let app = App::new(Config::new(folder.path()), store)?;
    let logs = seed(&app, has("empty")).await?;
    if has("grow") {
        tokio::spawn(grow(app.clone(), logs));
    }
    let signed_in = from_fn(|mut request: Request, next: Next| {
        let cookie = HeaderValue::from_static("seaworthy=gallery");
        request.headers_mut().insert(header::COOKIE, cookie);
        next.run(request)
    });
    let router = server::web::router(app).layer(signed_in);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn seed(app: &App, empty: bool) -> anyhow::Result<Vec<JobId>> {
    let mut tx = app.store.begin().await?;
    let session = server::token::hash(fixture::SESSION);
    let seed = fixture::Seed::new(&mut tx, app.clock.now(), &session).await?;
    let logs = if empty { Vec::new() } else { seed.all().await? };
    tx.commit().await?;
    for (job, attempt, log) in &logs {
        app.objects
            .alone(JobId(*job))
            .await
            .append(Attempt(*attempt), 0, log)
            .await?;
    }
    Ok(logs.into_iter().map(|(job, _, _)| JobId(job)).collect())
}

/// Lets the running job print, as a runner would: it is the third of the seeded logs.
async fn grow(app: App, logs: Vec<JobId>) -> anyhow::Result<()> {
    let log = (logs[2], Attempt(1));
    let mut length = app.objects.length(log.0, log.1).await?;
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = app.clock.now().0;
        let text: String = (0..20)
            .map(|n| format!("{now} 0 o growing {number}.{n}\n"))
            .collect();
        length = app
            .objects
            .alone(log.0)
            .await
            .append(log.1, length, text.as_bytes())
            .await?;
        app.live.publish(Topic::Log(log.0));
    }
    Ok(())
}
