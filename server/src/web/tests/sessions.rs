//! Signing in and out.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use secrecy::ExposeSecret;

use super::{Answer, Server};
use crate::admin;

async fn link(server: &Server) -> String {
    let link = admin::login(&server.app.data, Some("http://ci.test"))
        .await
        .unwrap();
    link.expose_secret()
        .strip_prefix("http://ci.test")
        .unwrap()
        .to_owned()
}

async fn press(server: &Server, path: &str, form: String, cookie: Option<&str>) -> Answer {
    let mut request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, "ci.test")
        .header(header::ORIGIN, "http://ci.test");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    server.send(request.body(Body::from(form)).unwrap()).await
}

async fn sign_in(server: &Server) -> String {
    let link = link(server).await;
    let token = link.split_once("token=").unwrap().1;
    let answer = press(server, "/login", format!("token={token}"), None).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn get_as(server: &Server, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header(header::COOKIE, cookie);
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn opening_the_link_burns_nothing_and_pressing_the_button_works_once() {
    let server = Server::new().await;
    let link = link(&server).await;
    for _ in 0..2 {
        let page = server.get(&link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("method=\"post\""), "{}", page.text);
        assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
    }
    let form = link.split_once('?').unwrap().1.to_owned();
    let first = press(&server, "/login", form.clone(), None).await;
    let cookie = first.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Max-Age=2592000"),
        "{cookie}"
    );
    assert_eq!(
        press(&server, "/login", form, None).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(server.get(&link).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_cookie_insists_on_encryption_where_people_come_encrypted() {
    let server = Server::with(|config| config.public_url = Some("https://ci.test".into())).await;
    let link = admin::login(&server.app.data, None).await.unwrap();
    let form = link.expose_secret().split_once('?').unwrap().1.to_owned();
    let answer = press(&server, "/login", form, None).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-seaworthy="), "{cookie}");
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}

#[tokio::test]
async fn a_person_sees_what_strangers_do_not_until_signing_out() {
    let server = Server::new().await;
    let cookie = sign_in(&server).await;
    assert_eq!(
        get_as(&server, "/nowhere", &cookie).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(server.get("/nowhere").await.status, StatusCode::SEE_OTHER);
    let forged = press(&server, "/logout", "csrf=00".into(), Some(&cookie)).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, cookie.parse().unwrap());
    let viewer = crate::web::session::find_viewer(&server.app, &headers)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(viewer.user, "admin");
    let left = press(
        &server,
        "/logout",
        format!("csrf={}", viewer.csrf),
        Some(&cookie),
    )
    .await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    assert_eq!(
        get_as(&server, "/nowhere", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn neither_links_nor_sessions_nor_tokens_lie_in_the_database() {
    let server = Server::new().await;
    let link = link(&server).await;
    let cookie = sign_in(&server).await;
    let token = admin::token_add(&server.app.data, "bot").await.unwrap();
    let secrets = [
        link.split_once("token=").unwrap().1,
        cookie.split_once('=').unwrap().1,
        &token.expose_secret()[21..],
    ];
    for entry in std::fs::read_dir(&server.app.data).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        for secret in secrets {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "a secret lies in the data directory");
        }
    }
}

#[tokio::test]
async fn scripts_are_told_and_people_are_sent_to_sign_in() {
    let server = Server::new().await;
    let ask = |kind: &'static str| {
        let request = Request::get("/live").header(header::ACCEPT, kind);
        server.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(
        ask("text/event-stream").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(ask("text/html,*/*").await.status, StatusCode::SEE_OTHER);
}
