//! The pages that need no reader: signing in, and what cannot be shown.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets;

/// What the sign-in page says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login<'a> {
    /// How to get a link.
    NeedsLink,
    /// A link that holds: pressing the button uses it up, opening the page does not.
    Confirm {
        /// The secret of the link.
        token: &'a str,
    },
}

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    title: &'a str,
    login: Option<Login<'a>>,
    /// What happened and what to do, where something did.
    message: Option<(&'a str, &'a str)>,
}

impl Page<'_> {
    #[allow(clippy::unused_self, reason = "called from the template")]
    fn asset(&self, name: &str) -> &'static str {
        assets::address(name)
    }

    /// Never cached: it depends on who asks.
    fn respond(&self, status: StatusCode) -> Response {
        match self.render() {
            Ok(html) => {
                let headers = [(header::CACHE_CONTROL, "no-store")];
                (status, headers, Html(html)).into_response()
            }
            // Only writing to memory can fail here, and it does not.
            Err(_) => (status, self.title.to_owned()).into_response(),
        }
    }
}

/// The sign-in page.
pub(crate) fn login_page(status: StatusCode, login: Login<'_>) -> Response {
    let page = Page {
        title: "Sign in",
        login: Some(login),
        message: None,
    };
    page.respond(status)
}

/// A page that says one thing and what to do about it.
pub(crate) fn message_page(status: StatusCode, sentence: &str, hint: &str) -> Response {
    let (sentence, hint) = (capital(sentence), capital(hint));
    let page = Page {
        title: status.canonical_reason().unwrap_or("Error"),
        login: None,
        message: Some((&sentence, &hint)),
    };
    page.respond(status)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
