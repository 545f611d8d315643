//! The bench's git: real repositories, and `git http-backend` in front of them.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::forge::Shared;

/// Runs git in `folder` and returns what it prints, trimmed.
pub(super) async fn git(folder: &Path, args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_AUTHOR_NAME", "bench")
        .env("GIT_AUTHOR_EMAIL", "bench@example.com")
        .env("GIT_COMMITTER_NAME", "bench")
        .env("GIT_COMMITTER_EMAIL", "bench@example.com")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run git")?;
    let mut stdin = child.stdin.take().context("git has no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// One request to `git http-backend`, as CGI has it. Bodies are small here, so they are held whole.
pub(super) async fn git_http(
    State(shared): State<Arc<Shared>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header_text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header_text("git-protocol"))
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or(""))
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", header_text("content-type"))
        .env("HTTP_CONTENT_ENCODING", header_text("content-encoding"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let answer = async {
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(&body).await?;
        drop(stdin);
        anyhow::Ok(child.wait_with_output().await?.stdout)
    };
    match answer.await {
        Ok(output) => from_cgi(&output),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn from_cgi(output: &[u8]) -> Response {
    let Some(end) = output.windows(4).position(|window| window == b"\r\n\r\n") else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut status = StatusCode::OK;
    let mut content_type = "application/octet-stream".to_owned();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", value)) => {
                let code = value.split(' ').next().and_then(|code| code.parse().ok());
                status = code.unwrap_or(StatusCode::BAD_GATEWAY);
            }
            Some(("Content-Type", value)) => content_type = value.to_owned(),
            Some(_) | None => {}
        }
    }
    (
        status,
        [(header::CONTENT_TYPE, content_type)],
        output[end + 4..].to_vec(),
    )
        .into_response()
}
