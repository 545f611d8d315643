//! What a reader asks for: who they are, where, and how much of the page; and the answer to it.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use pipelines::timestamp::Timestamp;

use super::frame::{Frame, Notice, Place};
use super::parts;
use super::words::Family;
use crate::app::App;
use crate::error::{Failure, PageError};
use crate::store::Reader;
use crate::store::views::runs::{self, RepoRow};
use crate::web::session::Viewer;

/// A reader's request for a page.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) app: App,
    pub(crate) viewer: Viewer,
    /// When the page is made: one moment for all of it.
    pub(crate) now: Timestamp,
    path: String,
    query: Vec<(String, String)>,
    known: Option<String>,
}

impl FromRequestParts<App> for Ask {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, app: &App) -> Result<Self, Response> {
        let viewer = Viewer::from_request_parts(request, app).await?;
        let query = request.uri.query().unwrap_or_default();
        let known = request.headers.get(header::IF_NONE_MATCH);
        Ok(Self {
            app: app.clone(),
            viewer,
            now: app.clock.now(),
            path: request.uri.path().to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            known: known.and_then(|tag| tag.to_str().ok()).map(str::to_owned),
        })
    }
}

impl Ask {
    /// A part of the query that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// A part of the query that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// The readers of the database.
    pub(crate) fn reader(&self) -> &Reader {
        self.app.store.reader()
    }

    /// What stands around the page.
    pub(crate) fn frame(&self, place: Place, family: Family, title: &str) -> Frame {
        let refresh = self.get("refresh").and_then(|seconds| seconds.parse().ok());
        Frame {
            title: format!("{title} · Seaworthy"),
            family,
            place,
            crumbs: Vec::new(),
            topics: String::new(),
            user: self.viewer.user.clone(),
            csrf: self.viewer.csrf.clone(),
            notice: self.get("notice").and_then(Notice::find),
            refresh: refresh.map(|seconds: u32| seconds.clamp(5, 3600)),
            now: self.now,
            path: self.path.clone(),
        }
    }

    /// The repository of the address.
    pub(crate) async fn repo(&self, owner: &str, name: &str) -> Result<RepoRow, PageError> {
        let found = runs::find_repo(self.reader(), owner, name).await?;
        found.ok_or_else(|| missing(format!("there is no repository {owner}/{name} here")))
    }

    /// The page, or the parts of it that were asked for.
    pub(crate) fn show(&self, page: &impl Template) -> Result<Response, PageError> {
        let html = page.render().map_err(anyhow::Error::from)?;
        let wanted = self.get("part");
        let html = parts::assemble(&html, wanted);
        if wanted.is_none() {
            let headers = [(header::CACHE_CONTROL, "private, no-cache")];
            return Ok((headers, Html(html)).into_response());
        }
        // Parts are asked for again and again: what has not changed costs a line.
        let tag = format!("\"{}\"", parts::fingerprint(html.as_bytes()));
        let headers = [
            (header::CACHE_CONTROL, "private, no-cache".to_owned()),
            (header::ETAG, tag.clone()),
        ];
        if self.known.as_ref() == Some(&tag) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Ok((headers, Html(html)).into_response())
    }
}

/// The error for something that is not there.
pub(crate) fn missing(what: impl Into<String>) -> PageError {
    PageError(Failure::not_found(what))
}
