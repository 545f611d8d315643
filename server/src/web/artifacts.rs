//! Artifacts, as people and programs download them.
//!
//! What a pipeline leaves may be anything, and it comes from our own origin: so it is always an
//! attachment of no known type, and should a browser show it all the same, it runs nothing.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipelines::ids::{ArtifactId, RepoId, RunId};

use super::session::Viewer;
use crate::app::App;
use crate::error::{Failure, PageError};
use crate::store::artifacts::{self, ArtifactRow};
use crate::store::views::runs;

pub(crate) fn routes() -> Router<App> {
    Router::new().route(
        "/repos/{owner}/{repo}/runs/{number}/artifacts/{id}/{file}",
        get(download),
    )
}

/// The file's name in the address is for people; the number says which file it is.
async fn download(
    State(app): State<App>,
    _: Viewer,
    Path((owner, repo, number, id, _file)): Path<(String, String, i64, i64, String)>,
) -> Result<Response, PageError> {
    let (db, missing) = (app.store.reader(), || {
        Failure::not_found("there is no such run")
    });
    let repo = runs::find_repo(db, &owner, &repo).await?;
    let run = runs::find(db, RepoId(repo.ok_or_else(missing)?.id), number).await?;
    let run = run.ok_or_else(missing)?;
    Ok(answer(&app, RunId(run.id), ArtifactId(id)).await?)
}

/// The bytes of an artifact, if it is of this run.
pub(crate) async fn answer(app: &App, run: RunId, id: ArtifactId) -> Result<Response, Failure> {
    let row = artifacts::find(app.store.reader(), run, id).await?;
    let row = row.ok_or_else(|| Failure::not_found("this run has left no such file"))?;
    if let Some(at) = row.deleted_at {
        return Err(Failure::deleted(&format!("`{}`", row.path), at));
    }
    let content = app.blobs.read(&row.object).await;
    let content = content.map_err(|error| super::runner_api::unavailable(&error))?;
    let Some((bytes, stream)) = content else {
        return Err(Failure::refused(
            StatusCode::GONE,
            format!("the bytes of `{}` are not stored any more", row.path),
            "run the pipeline again to make the file anew",
        ));
    };
    Ok((headers(&row, bytes), Body::from_stream(stream)).into_response())
}

fn headers(row: &ArtifactRow, bytes: u64) -> [(HeaderName, String); 7] {
    [
        (header::CONTENT_TYPE, "application/octet-stream".into()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, disposition(&row.path)),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox; frame-ancestors 'none'".into(),
        ),
        // The bytes of a number never change; who may see them can.
        (header::CACHE_CONTROL, "private, no-cache".into()),
        (header::ETAG, format!("\"{}\"", row.digest)),
        (HeaderName::from_static("repr-digest"), digest(&row.digest)),
    ]
}

/// The last part of the path, as every browser reads it: letters beyond ASCII are escaped.
fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let plain: String = name
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    let mut escaped = String::new();
    for byte in name.bytes() {
        if is_plain(char::from(byte)) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{escaped}")
}

/// The digest as RFC 9530 writes it.
fn digest(hex: &str) -> String {
    let pairs = hex
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Vec<u8> = pairs
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    format!("sha-256=:{}:", BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests;
