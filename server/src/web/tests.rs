//! The router, asked as a client would, without a network.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::access::{Access, ROUTES};
use crate::admin;
use crate::app::App;
use crate::config::{Config, GitHubConfig};
use crate::store::Store;

mod sessions;
mod webhooks;

/// A key as GitHub hands one out; a new one each time, so that none lies in the repository.
pub(crate) fn private_key() -> String {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        writeln!(pem, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    pem + "-----END PRIVATE KEY-----\n"
}

/// Settings of a GitHub that is asked nothing.
pub(crate) fn github_config(api_url: &str) -> GitHubConfig {
    GitHubConfig {
        api_url: api_url.to_owned(),
        web_url: "http://github.test".into(),
        app_id: 4711,
        private_key: private_key().into(),
        webhook_secrets: vec!["present".into(), "former".into()],
        pace_ms: 0,
        poll_ms: 300_000,
    }
}

/// A server without a listener, on a folder of its own.
pub(super) struct Server {
    pub(super) app: App,
    pub(super) router: Router,
    _folder: tempfile::TempDir,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::with(|config| config.github = Some(github_config("http://127.0.0.1:9"))).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        config.public_url = Some("http://ci.test".into());
        change(&mut config);
        let store = Store::open(folder.path()).await.unwrap();
        let app = App::new(config, store).unwrap();
        Self {
            router: super::router(app.clone()),
            app,
            _folder: folder,
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }
}

#[tokio::test]
async fn strangers_are_let_in_nowhere_but_where_the_table_says_so() {
    let server = Server::new().await;
    for (method, pattern, access) in ROUTES {
        let path = pattern
            .replace("{*path}", "style.css")
            .replace(['{', '}'], "");
        let path = path.replace("number", "1").replace("job", "1");
        let request = Request::builder().method(*method).uri(&path);
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        let turned_away = answer.status == StatusCode::UNAUTHORIZED
            || (answer.status == StatusCode::SEE_OTHER && answer.headers["location"] == "/login");
        match access {
            Access::Anyone => assert!(!turned_away || *pattern == "/webhooks/github", "{pattern}"),
            Access::Person | Access::Program | Access::Runner => {
                assert!(turned_away, "{method} {path}: {}", answer.status);
            }
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_goes_round_the_guard() {
    let server = Server::new().await;
    for path in [
        "/audit/",
        "//audit",
        "/audit;x=/healthz",
        "/audit?x=/static/",
        "/%61udit",
        "/./audit",
        "/static/../audit",
        "/healthz/../audit",
        "/login/..;/audit",
        "/audit%2f",
        "/AUDIT",
        "/audit.svg",
        "/api/v1/../../healthz",
        "/_ui",
        "/api/v2",
        "/runner/v1/unknown",
    ] {
        let answer = server.get(path).await;
        let refused = [
            StatusCode::SEE_OTHER,
            StatusCode::UNAUTHORIZED,
            StatusCode::NOT_FOUND,
        ];
        assert!(
            refused.contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_must_not_do() {
    let server = Server::new().await;
    for path in ["/healthz", "/", "/nowhere", "/login"] {
        let answer = server.get(path).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_everywhere() {
    let server = Server::new().await;
    for (method, pattern, _) in ROUTES.iter().filter(|(method, ..)| *method == "POST") {
        for (name, value) in [
            ("origin", "https://evil.test"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let request = Request::builder()
                .method(*method)
                .uri(pattern.replace(['{', '}'], ""))
                .header("host", "ci.test")
                .header(name, value);
            let answer = server.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{pattern} {name}");
        }
    }
}

#[tokio::test]
async fn health_and_metrics_are_told_and_draining_is_not_ready() {
    let server = Server::new().await;
    assert_eq!(server.get("/healthz").await.text, "alive\n");
    assert_eq!(server.get("/readyz").await.text, "ready\n");
    let metrics = server.get("/metrics").await.text;
    for name in [
        "seaworthy_queue_length 0",
        "seaworthy_http_request_duration_seconds_bucket",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    server.app.draining.cancel();
    assert_eq!(
        server.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_program_needs_a_token_that_holds() {
    let server = Server::new().await;
    let token = admin::token_add(&server.app.data, "deploy-bot")
        .await
        .unwrap();
    let ask = |bearer: String| {
        let request = Request::get("/api/v1/nothing").header("authorization", bearer);
        server.send(request.body(Body::empty()).unwrap())
    };
    let known = ask(format!("Bearer {}", token.expose_secret())).await;
    assert_eq!(known.status, StatusCode::NOT_FOUND);
    let mut wrong = token.expose_secret().to_owned();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let refused = ask(format!("Bearer {wrong}")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.text.contains("\"hint\""), "{}", refused.text);
    admin::token_revoke(&server.app.data, "deploy-bot")
        .await
        .unwrap();
    let revoked = ask(format!("Bearer {}", token.expose_secret())).await;
    assert_eq!(revoked.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_badge_tells_strangers_nothing_about_private_repositories() {
    let server = Server::new().await;
    let badge = server.get("/badge/acme/secret.svg").await;
    assert_eq!(badge.headers[header::CONTENT_TYPE], "image/svg+xml");
    assert!(badge.text.contains("unknown"));
}
