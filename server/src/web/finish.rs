//! What may change something runs to its end, whether or not the caller still listens.
//!
//! A handler is a future, and hyper drops it when its client goes away. It would then end at any
//! `.await`: between two transactions, between a commit and the bell that follows, or in the middle
//! of a file. So whatever is not merely reading becomes a task of its own, and the request only
//! waits for its answer.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::pages::login::message_page;

/// Cancelled once nobody waits for the answer any more: what only waits need not go on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gone(pub(crate) CancellationToken);

impl<S: Sync> FromRequestParts<S> for Gone {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// The layer. A body that breaks off is an error for its reader, as ever.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let gone = CancellationToken::new();
    request.extensions_mut().insert(Gone(gone.clone()));
    let _told = gone.drop_guard();
    match tokio::spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_stopped) => message_page(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is stopping",
                "try again in a moment",
            ),
        },
    }
}
