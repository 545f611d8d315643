//! Who is asking: people by session, programs by token. And how people sign in.
//!
//! Signing in needs a one-time link, made by whoever may read the data directory (`seaworthy admin
//! login`). Opening the link shows a button; only pressing it uses the link up, so that a preview in
//! a chat does not.

use axum::extract::{Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::CookieJar;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::error::{Failure, PageError};
use crate::pages::login::{Login, login_page};
use crate::store::access;
use crate::token::{self, Kind, Presented};

/// A person who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    /// Their name.
    pub(crate) user: String,
    /// What every form of theirs must send back in its field `csrf`.
    pub(crate) csrf: String,
}

impl Viewer {
    /// Refuses a form that this person's pages did not make.
    pub(crate) fn check(&self, form_csrf: &str) -> Result<(), PageError> {
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            self.csrf.as_bytes(),
            form_csrf.as_bytes(),
        );
        same.map_err(|_| {
            PageError(Failure::refused(
                StatusCode::FORBIDDEN,
                "this form was not made by your session",
                "open the page again and send the form from there",
            ))
        })
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        if let Some(viewer) = parts.extensions.get::<Self>() {
            return Ok(viewer.clone());
        }
        match find_viewer(app, &parts.headers).await {
            Ok(Some(viewer)) => Ok(viewer),
            Ok(None) => Err(sign_in_first(&parts.method, &parts.headers)),
            Err(error) => Err(PageError::from(error).into_response()),
        }
    }
}

/// The person whose session this request carries, if it carries one that holds.
pub(crate) async fn find_viewer(app: &App, headers: &HeaderMap) -> sqlx::Result<Option<Viewer>> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(cookie_name(app)) else {
        return Ok(None);
    };
    let hash = token::hash(cookie.value());
    let user = access::find_session(app.store.reader(), &hash, app.clock.now()).await?;
    // Bound to the session, so that another's is worth nothing; and one cannot be had from the other.
    let csrf = || token::hex(&token::hash(&format!("csrf {}", cookie.value())));
    Ok(user.map(|user| Viewer { user, csrf: csrf() }))
}

/// People are sent to the sign-in page; scripts and forms are told.
pub(crate) fn sign_in_first(method: &Method, headers: &HeaderMap) -> Response {
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_page = matches!(*method, Method::GET | Method::HEAD)
        && says("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
        && says("accept").is_none_or(|kinds| kinds.contains("text/html") || kinds.contains("*/*"));
    if is_page {
        Redirect::to("/login").into_response()
    } else {
        PageError(Failure::refused(
            StatusCode::UNAUTHORIZED,
            "you are not signed in",
            "sign in at /login and try again",
        ))
        .into_response()
    }
}

/// A program that uses the API.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    /// The name its token was given.
    pub(crate) name: String,
}

impl FromRequestParts<App> for Bearer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        if let Some(bearer) = parts.extensions.get::<Self>() {
            return Ok(bearer.clone());
        }
        match find_bearer(app, &parts.headers).await {
            Ok(Some(bearer)) => Ok(bearer),
            Ok(None) => Err(token_first()),
            Err(error) => Err(crate::error::ApiError::from(error).into_response()),
        }
    }
}

/// The program whose token this request carries, if it carries one that holds.
pub(crate) async fn find_bearer(app: &App, headers: &HeaderMap) -> sqlx::Result<Option<Bearer>> {
    let presented = bearer_text(headers).and_then(|text| Presented::parse(Kind::Api, text));
    let Some(presented) = presented else {
        return Ok(None);
    };
    let found = access::find_token(app.store.reader(), &presented.id).await?;
    let Some(found) = found.filter(|token| presented.matches(&token.hash)) else {
        return Ok(None);
    };
    note_use(app, &found).await;
    Ok(Some(Bearer { name: found.name }))
}

/// The text after `Authorization: Bearer`.
pub(crate) fn bearer_text(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// The answer to a call without a token that holds.
pub(crate) fn token_first() -> Response {
    let body = json!({
        "error": "this call needs a token that holds",
        "hint": "send `Authorization: Bearer swt_…`; `seaworthy admin token add NAME` makes one",
    });
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
}

/// Remembers the day of use, not each call: reading must not become writing.
async fn note_use(app: &App, found: &access::FoundToken) {
    let now = app.clock.now();
    if found.last_used_at.is_some_and(|at| now.0 - at < 3_600_000) {
        return;
    }
    let noted = async {
        let mut tx = app.store.begin().await?;
        access::note_token_use(&mut tx, found.id, now).await?;
        tx.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, token = found.name, "cannot note that a token was used");
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/login", get(show_login).post(sign_in))
        .route("/logout", post(sign_out))
}

#[derive(Debug, Deserialize)]
struct Link {
    token: Option<String>,
}

async fn show_login(State(app): State<App>, Query(link): Query<Link>) -> Response {
    let Some(text) = link.token else {
        return login_page(StatusCode::OK, Login::NeedsLink);
    };
    let hash = token::hash(&text);
    match access::find_login(app.store.reader(), &hash, app.clock.now()).await {
        Ok(true) => {
            let page = login_page(StatusCode::OK, Login::Confirm { token: &text });
            // The address holds a secret: it must not travel on as a referrer.
            ([(header::REFERRER_POLICY, "no-referrer")], page).into_response()
        }
        Ok(false) => used_up().into_response(),
        Err(error) => PageError::from(error).into_response(),
    }
}

fn used_up() -> PageError {
    PageError(Failure::refused(
        StatusCode::FORBIDDEN,
        "this sign-in link has been used, is too old, or never was one",
        "make a new one with `seaworthy admin login` on the server's machine",
    ))
}

async fn sign_in(State(app): State<App>, Form(link): Form<Link>) -> Result<Response, PageError> {
    let now = app.clock.now();
    let hash = token::hash(&link.token.unwrap_or_default());
    let session = token::random_secret();
    let mut tx = app.store.begin().await?;
    if !access::use_login(&mut tx, &hash, now).await? {
        return Err(used_up());
    }
    let stored = token::hash(session.expose_secret());
    access::insert_session(&mut tx, &stored, access::ADMIN, now).await?;
    crate::store::audit::record(&mut tx, now, (access::ADMIN, "login", ""), "").await?;
    tx.commit().await?;
    let cookie = cookie(&app, session.expose_secret(), access::SESSION_DAYS);
    // Always the overview: an address to go on to would be an open redirect to guard.
    Ok((cookie, Redirect::to("/")).into_response())
}

#[derive(Debug, Deserialize)]
struct Leave {
    #[serde(default)]
    csrf: String,
}

async fn sign_out(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    Form(form): Form<Leave>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    if let Some(session) = CookieJar::from_headers(&headers).get(cookie_name(&app)) {
        let mut tx = app.store.begin().await?;
        access::delete_session(&mut tx, &token::hash(session.value())).await?;
        tx.commit().await?;
    }
    let gone = cookie(&app, "", 0);
    Ok((gone, Redirect::to("/login")).into_response())
}

/// With the prefix, browsers keep the cookie only from this very host, encrypted and for all paths.
fn cookie_name(app: &App) -> &'static str {
    if app.is_https() {
        "__Host-seaworthy"
    } else {
        "seaworthy"
    }
}

/// Written by hand: the cookie library wants a library of times for its `Max-Age`.
fn cookie(app: &App, value: &str, days: i64) -> [(header::HeaderName, String); 1] {
    let secure = if app.is_https() { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
        cookie_name(app),
        days * 86_400
    );
    [(header::SET_COOKIE, text)]
}
