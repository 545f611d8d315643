//! Pages so small that they need no template: errors, and what stands before sign-in.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// A page that says one thing and what to do about it.
pub(crate) fn message(status: StatusCode, sentence: &str, hint: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = format!(
        "<h1>{}</h1><p>{}</p><p><a href=\"/\">Overview</a></p>",
        escape(&capital(sentence)),
        escape(&capital(hint))
    );
    page(status, title, &body)
}

/// A page around `body`, which is HTML already. Never cached: it depends on who asks.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{} · Seaworthy</title><link rel=\"stylesheet\" href=\"/static/seaworthy.css\">\
         </head><body><main>{body}</main></body></html>",
        escape(title)
    );
    (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
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

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
