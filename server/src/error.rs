//! What can go wrong in answering a request, and how it is told to people and to programs.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::pages::login::message_page;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It is not there, or not for this caller: the two are told alike.
    #[error("{0}")]
    NotFound(String),
    /// The caller must do something else first.
    #[error("{error}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// A sentence.
        error: String,
        /// What to do.
        hint: String,
    },
    /// The database refused.
    #[error("the database refused: {0}")]
    Storage(#[from] sqlx::Error),
    /// A fault of ours.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

impl Failure {
    /// The words for something that is not there.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }

    /// A refusal with its status, a sentence and what to do.
    pub(crate) fn refused(
        status: StatusCode,
        error: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Refused {
            status,
            error: error.into(),
            hint: hint.into(),
        }
    }

    /// Something that was there until retention deleted it, at this moment in milliseconds.
    pub(crate) fn deleted(what: &str, at: i64) -> Self {
        let day = crate::pages::day(at);
        Self::refused(
            StatusCode::GONE,
            format!("{what} was deleted by retention on {day}"),
            "run the pipeline again to make it anew",
        )
    }

    /// Status, sentence and hint. What is our own fault is logged here, once, and told in general
    /// words: its details are for the administrator.
    fn tell(self) -> (StatusCode, String, String) {
        match self {
            Self::NotFound(error) => (
                StatusCode::NOT_FOUND,
                error,
                "check the address; what you may not see is not shown either".into(),
            ),
            Self::Refused {
                status,
                error,
                hint,
            } => (status, error, hint),
            Self::Storage(error) if is_passing(&error) => {
                tracing::warn!(%error, "the database refuses for now");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server cannot reach its storage".into(),
                    "try again in a moment; if it stays so, look at free space and the server's log"
                        .into(),
                )
            }
            Self::Storage(error) => internal(&error),
            Self::Internal(error) => internal(&format_args!("{error:#}")),
        }
    }
}

fn internal(error: &dyn std::fmt::Display) -> (StatusCode, String, String) {
    tracing::error!(%error, "a request failed by a fault of the server");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server failed to answer".into(),
        "the server's log says why".into(),
    )
}

/// Whether waiting may help: no space, locked, closed or read-only.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        // Primary codes of SQLite: busy 5, locked 6, read-only 8, I/O 10, full 13, cannot open 14.
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
        _ => false,
    }
}

/// A failure as a program is told it: `{"error": …, "hint": …}`.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) Failure);

/// A failure as a person is told it: a page.
#[derive(Debug)]
pub(crate) struct PageError(pub(crate) Failure);

impl<E: Into<Failure>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl<E: Into<Failure>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error, hint) = self.0.tell();
        (status, Json(json!({ "error": error, "hint": hint }))).into_response()
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, error, hint) = self.0.tell();
        message_page(status, &error, &hint)
    }
}
