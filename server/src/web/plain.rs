//! What stands before sign-in and in place of a page, and text made safe for HTML.

use axum::http::StatusCode;
use axum::response::Response;

use crate::pages::login;

/// A page that says one thing and what to do about it.
pub(crate) fn message(status: StatusCode, sentence: &str, hint: &str) -> Response {
    login::message_page(status, sentence, hint)
}

/// Text made safe to stand in HTML, also in an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
