//! The processes of the demo, started one after the other.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::place::{ADDRESSES, Place};
use super::{PRODUCTION, REPOSITORY, STAGING};
use crate::api::{Api, Run};
use crate::cluster::{Cluster, Namespace};
use crate::program;

/// Signs the demo's webhooks; nothing of it leaves this machine.
const WEBHOOK_SECRET: &str = "the demo's webhook secret";
/// The port that the documents name; another one if it is taken.
const USUAL_PORT: u16 = 8080;

/// A running demo.
pub(super) struct Installation {
    pub(super) api: Api,
    pub(super) github_url: String,
    pub(super) cluster: Cluster,
    place: Place,
    login: String,
}

/// What a later command must know of a running demo.
#[derive(Serialize, Deserialize)]
struct Notes {
    url: String,
    token: String,
}

/// Where that is kept; the folder is this user's own.
const NOTES: &str = "demo.json";

#[derive(Deserialize)]
struct Addresses {
    web: String,
    api: String,
    app_id: u64,
}

/// Stops what ran before and starts anew.
pub(super) async fn start(place: &Place) -> Result<Installation> {
    super::down(place).await?;
    std::fs::create_dir_all(place.path("github"))?;
    // Tokens lie in it.
    std::fs::set_permissions(place.dir(), Permissions::from_mode(0o700))?;
    let cluster = Cluster::connect().await?;
    cluster.ping().await?;
    let listen = free_address()?;
    let url = format!("http://{listen}");

    let addresses = start_github(place, &url).await?;
    start_server(place, &listen, &addresses).await?;
    let token = last_line(&admin(place, &["token", "add", "demo"]).await?)?;
    start_runner(place, &url).await?;
    let login = new_login(place, &url).await?;
    let api = Api::anonymous(&url)?.with_token(&token);
    for name in [STAGING, PRODUCTION] {
        cluster
            .namespace_once_free(name)
            .await
            .map(Namespace::keep)?;
    }
    let notes = Notes { url, token };
    std::fs::write(place.path(NOTES), serde_json::to_string(&notes)?)?;
    Ok(Installation {
        api,
        github_url: addresses.web,
        cluster,
        place: place.clone(),
        login,
    })
}

/// The API of a demo that was started before.
pub(super) fn api_of_running(place: &Place) -> Result<Api> {
    let text = std::fs::read_to_string(place.path(NOTES));
    let text = text.context("no demo runs here: start one with `make demo`")?;
    let notes: Notes = serde_json::from_str(&text)?;
    Ok(Api::anonymous(&notes.url)?.with_token(&notes.token))
}

async fn start_github(place: &Place, server: &str) -> Result<Addresses> {
    std::fs::write(place.path("webhook-secret"), WEBHOOK_SECRET)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([
            "github",
            "--webhook",
            &format!("{server}/webhooks/github"),
            "--dir",
        ])
        .arg(place.path("github"))
        .arg("--secret-file")
        .arg(place.path("webhook-secret"));
    program::without_proxy(&mut command);
    place.spawn("github", &mut command)?;
    let file = place.path("github").join(ADDRESSES);
    let text = place
        .await_from("github", "the stand-in GitHub", async || {
            Ok(std::fs::read_to_string(&file)?)
        })
        .await?;
    Ok(serde_json::from_str(&text)?)
}

async fn start_server(place: &Place, listen: &str, github: &Addresses) -> Result<()> {
    let mut command = Command::new(program::seaworthy()?);
    command
        .args(["serve", "--listen", listen, "--data"])
        .arg(place.path("data"))
        .env("SEAWORTHY_GITHUB_API_URL", &github.api)
        .env("SEAWORTHY_GITHUB_WEB_URL", &github.web)
        .env("SEAWORTHY_GITHUB_APP_ID", github.app_id.to_string())
        .env(
            "SEAWORTHY_GITHUB_PRIVATE_KEY_FILE",
            place.path("github").join("app.pem"),
        )
        .env(
            "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
            place.path("webhook-secret"),
        );
    program::without_proxy(&mut command);
    place.spawn("server", &mut command)?;
    let api = Api::anonymous(&format!("http://{listen}"))?;
    place
        .await_from("server", "the server", async || {
            let (status, body) = api.get("/readyz").await?;
            ensure!(status == 200, "{status}: {body}");
            Ok(())
        })
        .await
}

async fn start_runner(place: &Place, server: &str) -> Result<()> {
    let token = last_line(&admin(place, &["runner", "add", "demo"]).await?)?;
    std::fs::write(place.path("runner-token"), token)?;
    let mut command = Command::new(program::seaworthy()?);
    command
        .args([
            "runner",
            "--server",
            server,
            "--environments",
            "staging,production",
        ])
        .arg("--token-file")
        .arg(place.path("runner-token"))
        .arg("--state")
        .arg(place.path("runner"));
    program::without_proxy(&mut command);
    place.spawn("runner", &mut command)
}

/// `seaworthy admin … --data …`.
async fn admin(place: &Place, words: &[&str]) -> Result<String> {
    let mut command = Command::new(program::seaworthy()?);
    command
        .arg("admin")
        .args(words)
        .arg("--data")
        .arg(place.path("data"));
    program::output(&mut command).await
}

fn last_line(text: &str) -> Result<String> {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    Ok(line.context("nothing was printed")?.trim().to_owned())
}

/// A port to listen on. Another program could take it before the server does, which then says so.
fn free_address() -> Result<String> {
    let usual = TcpListener::bind(("127.0.0.1", USUAL_PORT));
    let listener = usual.or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.to_string())
}

impl Installation {
    /// Where things are, once they run.
    pub(super) fn greet(&self) {
        println!("Seaworthy runs.\n");
        println!("  sign in    {}", self.login);
        println!("             (works once; another one: see the end)");
        println!(
            "  GitHub     {}  (a stand-in; {REPOSITORY} is in it)",
            self.github_url
        );
        println!("  logs       {}/*.log", self.place.dir().display());
    }

    /// Where to look, and how to go on.
    pub(super) async fn farewell(&self, run: &Run) -> Result<()> {
        let login = new_login(&self.place, &self.api.url).await?;
        println!("\nLook around:\n");
        println!("  sign in    {login}");
        println!("  the run    {}", self.run_address(run));
        println!("  the boards {}/environments", self.api.url);
        println!(
            "  clone      git clone {}",
            super::checkout::address(&self.github_url)
        );
        Ok(())
    }

    /// The page of a run.
    pub(super) fn run_address(&self, run: &Run) -> String {
        format!("{}/repos/{REPOSITORY}/runs/{}", self.api.url, run.number)
    }
}

/// A fresh one-time address to sign in.
pub(super) async fn new_login(place: &Place, url: &str) -> Result<String> {
    let printed = last_line(&admin(place, &["login"]).await?)?;
    // The command knows the path of the address; the host only where it is configured.
    let token = printed
        .rsplit_once("token=")
        .map_or(&*printed, |(_, token)| token);
    Ok(format!("{url}/login?token={token}"))
}
