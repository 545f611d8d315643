//! The bench's GitHub: answers at once, remembers nothing, serves real git.
//!
//! It accepts every token, so it is no test of the client; the test suite's stand-in is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::{hmac, rand, rsa};
use axum::Json;
use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::git::{git, git_http};

/// The running stand-in.
pub(super) struct Forge {
    address: String,
    private_key: String,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Where the bare repositories are.
    pub(super) folder: PathBuf,
    web_url: String,
    repositories: Mutex<BTreeMap<String, Files>>,
    /// How often its API was asked.
    calls: AtomicUsize,
}

/// What a repository holds at every commit: `.seaworthy/bench.yml`.
#[derive(Clone)]
struct Files {
    text: String,
    blob: String,
    folder: String,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Files>> {
        self.repositories
            .lock()
            .expect("nobody panics with this lock held")
    }

    fn find(&self, repo: &str) -> Option<Files> {
        self.lock().get(repo).cloned()
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.shared.folder);
    }
}

/// A repository with one pipeline file.
pub(super) struct Repository {
    /// `bench/NAME`.
    pub(super) name: String,
    id: i64,
    folder: PathBuf,
    tree: String,
    web_url: String,
}

impl Forge {
    /// Listens on a free port of loopback.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let folder =
            std::env::temp_dir().join(format!("seaworthy-bench-git-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let web_url = address.clone();
        let shared = Arc::new(Shared {
            folder,
            web_url,
            repositories: Mutex::default(),
            calls: AtomicUsize::default(),
        });
        let counted = middleware::from_fn_with_state(shared.clone(), count);
        let router = routes().layer(counted).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            private_key: new_key()?,
            shared,
        })
    }

    /// For `SEAWORTHY_GITHUB_API_URL`.
    pub(super) fn api_url(&self) -> String {
        format!("{}/api/v3", self.address)
    }

    /// How often its API has been asked so far.
    pub(super) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// For `SEAWORTHY_GITHUB_WEB_URL`.
    pub(super) fn web_url(&self) -> &str {
        &self.address
    }

    /// For `SEAWORTHY_GITHUB_PRIVATE_KEY_FILE`.
    pub(super) fn private_key_pem(&self) -> &str {
        &self.private_key
    }

    /// Makes `bench/NAME` with `pipeline` as its only file.
    pub(super) async fn repository(
        &self,
        name: &str,
        pipeline: &str,
    ) -> anyhow::Result<Repository> {
        let folder = self.shared.folder.join(format!("bench/{name}.git"));
        std::fs::create_dir_all(&folder)?;
        git(&folder, &["init", "--quiet", "--bare"], "").await?;
        git(
            &folder,
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
            "",
        )
        .await?;
        let blob = git(&folder, &["hash-object", "-w", "--stdin"], pipeline).await?;
        let sub = git(
            &folder,
            &["mktree"],
            &format!("100644 blob {blob}\tbench.yml\n"),
        )
        .await?;
        let tree = git(
            &folder,
            &["mktree"],
            &format!("040000 tree {sub}\t.seaworthy\n"),
        )
        .await?;
        let files = Files {
            text: pipeline.to_owned(),
            blob,
            folder: sub,
        };
        let id = {
            let mut repositories = self.shared.lock();
            repositories.insert(name.to_owned(), files);
            i64::try_from(repositories.len())?
        };
        let web_url = self.address.clone();
        Ok(Repository {
            name: format!("bench/{name}"),
            id,
            folder,
            tree,
            web_url,
        })
    }
}

impl Repository {
    /// Makes a new commit and returns it with the body of the webhook that tells of it.
    pub(super) async fn push(&self) -> anyhow::Result<(String, Value)> {
        let message = format!("Measure {}", random_id());
        let commit = git(
            &self.folder,
            &["commit-tree", &self.tree, "-m", &message],
            "",
        )
        .await?;
        git(
            &self.folder,
            &["update-ref", "refs/heads/main", &commit],
            "",
        )
        .await?;
        let body = json!({
            "ref": "refs/heads/main", "before": "0".repeat(40), "after": commit,
            "created": false, "deleted": false, "forced": false,
            "repository": repository(&self.name, self.id, &self.web_url),
            "installation": { "id": 1 }, "sender": { "login": "bench", "id": 1 },
            "pusher": { "name": "bench" },
            "head_commit": {
                "id": commit, "message": message, "timestamp": "2026-01-01T00:00:00Z",
                "author": { "name": "bench", "email": "bench@example.com", "username": "bench" },
                "added": [], "removed": [], "modified": ["bench.yml"],
            },
            "commits": [],
        });
        Ok((commit, body))
    }
}

/// A webhook that starts nothing: only its way into the record is measured.
pub(super) fn star(number: usize) -> Value {
    json!({
        "action": "created", "number": number, "filler": "x".repeat(6000),
        "repository": repository("bench/stars", 1000, "http://127.0.0.1"),
        "installation": { "id": 1 }, "sender": { "login": "bench", "id": 1 },
    })
}

/// The signature GitHub would send.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex(hmac::sign(&key, body).as_ref()))
}

/// 128 random bits in hexadecimal.
pub(super) fn random_id() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has random numbers");
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn new_key() -> anyhow::Result<String> {
    let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der()?;
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    ))
}

fn repository(full_name: &str, id: i64, web_url: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("bench", full_name));
    json!({
        "id": id, "name": name, "full_name": full_name, "private": false,
        "default_branch": "main", "owner": { "login": owner, "id": 1 },
        "html_url": format!("{web_url}/{full_name}"), "url": format!("{web_url}/api/v3/repos/{full_name}"),
        "clone_url": format!("{web_url}/{full_name}.git"),
    })
}

fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/api/v3/app/installations/{id}/access_tokens",
            post(access_token),
        )
        .route("/api/v3/repos/bench/{repo}", get(describe))
        .route("/api/v3/repos/bench/{repo}/git/trees/{sha}", get(tree))
        .route("/api/v3/repos/bench/{repo}/git/blobs/{sha}", get(blob))
        .route("/api/v3/repos/bench/{repo}/check-runs", post(check_run))
        .route(
            "/api/v3/repos/bench/{repo}/check-runs/{id}",
            patch(check_run),
        )
        .route(
            "/api/v3/repos/bench/{repo}/commits/{sha}/check-runs",
            get(no_check_runs),
        )
        .route("/bench/{*path}", any(git_http))
}

async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/api/") {
        shared.calls.fetch_add(1, Ordering::Relaxed);
    }
    next.run(request).await
}

async fn access_token() -> impl IntoResponse {
    let token = json!({
        "token": "ghs_bench", "expires_at": "2099-01-01T00:00:00Z",
        "permissions": {}, "repository_selection": "selected", "repositories": [],
    });
    (StatusCode::CREATED, Json(token))
}

async fn describe(State(shared): State<Arc<Shared>>, UrlPath(repo): UrlPath<String>) -> Response {
    Json(repository(&format!("bench/{repo}"), 1, &shared.web_url)).into_response()
}

async fn tree(
    State(shared): State<Arc<Shared>>,
    UrlPath((repo, sha)): UrlPath<(String, String)>,
) -> Response {
    let Some(files) = shared.find(&repo) else {
        return not_found();
    };
    let entry = if sha == files.folder {
        json!({
            "path": "bench.yml", "mode": "100644", "type": "blob",
            "sha": files.blob, "size": files.text.len(),
        })
    } else {
        json!({ "path": ".seaworthy", "mode": "040000", "type": "tree", "sha": files.folder })
    };
    Json(json!({ "sha": sha, "truncated": false, "tree": [entry] })).into_response()
}

async fn blob(
    State(shared): State<Arc<Shared>>,
    UrlPath((repo, sha)): UrlPath<(String, String)>,
) -> Response {
    let Some(files) = shared.find(&repo) else {
        return not_found();
    };
    let content = STANDARD.encode(&files.text);
    let size = files.text.len();
    Json(json!({ "sha": sha, "size": size, "encoding": "base64", "content": content }))
        .into_response()
}

fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        Json(json!({ "message": "Not Found" })),
    )
        .into_response()
}

async fn check_run(Json(body): Json<Value>) -> impl IntoResponse {
    let mut check = body;
    check["id"] = 1.into();
    (StatusCode::CREATED, Json(check))
}

async fn no_check_runs() -> Json<Value> {
    Json(json!({ "total_count": 0, "check_runs": [] }))
}
