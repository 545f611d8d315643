//! The style sheet, scripts and icons inside the program, under addresses that name their content,
//! so that a browser may keep them for ever and never shows an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::parts::fingerprint;

#[derive(RustEmbed)]
#[folder = "../templates/static"]
struct Files;

struct Asset {
    name: String,
    address: String,
    tag: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |name: std::borrow::Cow<'static, str>| {
        let print = Files::get(&name).map(|file| fingerprint(&file.data));
        let print = print.unwrap_or_default();
        Asset {
            address: format!("/static/{print}/{name}"),
            tag: format!("\"{print}\""),
            name: name.into_owned(),
        }
    };
    Files::iter().map(asset).collect()
});

/// The address of a static file.
pub(crate) fn address(name: &str) -> &'static str {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    found.map_or("/static/missing", |asset| asset.address.as_str())
}

/// Names this build's look: part of the address of everything cached for ever.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let all: String = ASSETS.iter().map(|asset| asset.tag.as_str()).collect();
        // The version of the program stands for the code that renders lines.
        fingerprint(format!("{all}{}", env!("CARGO_PKG_VERSION")).as_bytes())
    });
    &VERSION
}

/// Serves a static file. An address of another build gets the present file, but is not kept.
pub(crate) async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let (print, name) = path.split_once('/').unwrap_or(("", path.as_str()));
    let (Some(asset), Some(file)) = (
        ASSETS.iter().find(|asset| asset.name == name),
        Files::get(name),
    ) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if asset.address.contains(print) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let answer = [
        (header::ETAG, asset.tag.as_str()),
        (header::CACHE_CONTROL, keep),
    ];
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tag| tag == asset.tag.as_str());
    if known {
        return (StatusCode::NOT_MODIFIED, answer).into_response();
    }
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "application/octet-stream",
    };
    (answer, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}
