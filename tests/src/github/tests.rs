//! The stand-in's own promises, over HTTP and with the real git, as Seaworthy meets them.

mod api;
mod contents;
mod faults;
mod git;
mod hooks;
mod pulls;

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::hub::lock;
use super::*;

/// What came to the webhook.
#[derive(Clone, Debug)]
struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Inbox = Arc<Mutex<Vec<Received>>>;

/// A stand-in, a webhook that takes everything, and a folder for both.
struct Stage {
    github: GitHub,
    inbox: Inbox,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(GitHubOptions::default()).await
    }

    async fn with(options: GitHubOptions) -> Self {
        let inbox = Inbox::default();
        let take = |State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes| async move {
            lock(&inbox).push(Received {
                headers,
                body: body.to_vec(),
            });
            (StatusCode::ACCEPTED, "taken")
        };
        let app = Router::new().fallback(take).with_state(inbox.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("github");
        let webhook = Some((url, "hush".to_owned()));
        let github = GitHub::start(GitHubOptions {
            dir,
            webhook,
            ..options
        })
        .await
        .unwrap();
        Self {
            github,
            inbox,
            folder,
        }
    }

    /// A private repository with one commit, and that commit.
    async fn shop(&self) -> (Repository, String) {
        let repo = self
            .github
            .create_repository("acme/shop", Visibility::Private)
            .await
            .unwrap();
        let files = [
            ("Dockerfile", "FROM scratch\n"),
            (".seaworthy/shop.yml", "jobs: {}\n"),
        ];
        let sha = repo.commit("main", "Add the shop", &files).await.unwrap();
        (repo, sha)
    }

    fn app(&self) -> Api {
        let now = Timestamp::now().as_second();
        self.claiming(&json!({ "iss": 4711, "iat": now - 60, "exp": now + 540 }))
    }

    fn claiming(&self, claims: &Value) -> Api {
        self.bearing(&self.github.sign_claims(claims).unwrap())
    }

    fn bearing(&self, token: &str) -> Api {
        let client = reqwest::Client::builder()
            .no_proxy()
            .user_agent("tests")
            .build()
            .unwrap();
        Api {
            base: self.github.api_url(),
            token: token.to_owned(),
            client,
        }
    }

    /// With a token for everything the App is installed in.
    fn installed(&self) -> Api {
        self.bearing(&self.github.installation_token("acme").unwrap())
    }

    fn events(&self) -> Vec<String> {
        lock(&self.inbox)
            .iter()
            .map(|it| it.header("x-github-event").to_owned())
            .collect()
    }

    fn last(&self) -> Received {
        lock(&self.inbox).last().unwrap().clone()
    }
}

/// A caller of the API.
struct Api {
    base: String,
    token: String,
    client: reqwest::Client,
}

impl Api {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(method, path);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null),
        )
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.0
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::PATCH, path, body).await
    }
}

/// The git of a developer, in a folder, heeding nothing of this machine.
async fn git(folder: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .args([
            "-c",
            "user.name=Grace",
            "-c",
            "user.email=grace@example.com",
        ])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .env_remove("GIT_DIR")
        .output()
        .await
        .unwrap()
}

async fn git_ok(folder: &Path, args: &[&str]) -> String {
    let output = git(folder, args).await;
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
