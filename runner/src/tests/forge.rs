//! One repository, served over HTTP by git's own program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use pipelines::names::CommitSha;
use pipelines::wire::Checkout;
use tokio::io::AsyncWriteExt as _;

/// What the forge wants to be shown before it serves anything.
pub(crate) const TOKEN: &str = "ghs_checkout";

pub(crate) struct Forge {
    _folder: tempfile::TempDir,
    commit: CommitSha,
    pub(crate) url: String,
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Forge {
    /// A repository with one commit of these files and a small Dockerfile.
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("shop");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        std::fs::write(
            work.join("Dockerfile"),
            "FROM localbase/busybox:1\nCOPY . /app\n",
        )
        .unwrap();
        for (name, content) in files {
            std::fs::write(work.join(name), content).unwrap();
        }
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", "one"]);
        git(&work, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        git(&work, &["config", "http.receivepack", "false"]);
        let commit = git(&work, &["rev-parse", "HEAD"]).parse().unwrap();
        let router = Router::new()
            .fallback(serve)
            .with_state(folder.path().to_owned());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            _folder: folder,
            commit,
            url: format!("http://{address}/shop/.git"),
        }
    }

    pub(crate) fn commit(&self) -> CommitSha {
        self.commit.clone()
    }

    pub(crate) fn checkout(&self) -> Checkout {
        Checkout {
            url: self.url.clone(),
            token: Some(TOKEN.into()),
        }
    }
}

async fn serve(State(root): State<PathBuf>, headers: HeaderMap, request: Request) -> Response {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let shown = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if shown != Some(&format!("Basic {pair}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text("content-type"))
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    answer(Bytes::from(output.stdout))
}

/// A CGI answer as an HTTP one.
fn answer(output: Bytes) -> Response {
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output.slice(end + 4..))).unwrap()
}
