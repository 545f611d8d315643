use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Json};
use std::sync::{Arc, Mutex};

use super::*;

fn found(digit: &str, media_type: &str) -> OciDescriptor {
    OciDescriptor {
        media_type: Some(media_type.into()),
        digest: Some(format!("sha256:{}", digit.repeat(64))),
        size: Some(528),
        ..Default::default()
    }
}

#[test]
fn an_index_names_each_platform_and_is_of_the_kind_of_its_images() {
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let images = [
        ("linux/amd64".to_owned(), found("1", OCI_MANIFEST)),
        ("linux/arm/v7".to_owned(), found("2", OCI_MANIFEST)),
    ];
    let index = Index::of(&images).unwrap();
    assert_eq!(index.media_type, OCI_INDEX);
    let value: serde_json::Value = serde_json::from_slice(&index.bytes).unwrap();
    let platforms: Vec<_> = value["manifests"].as_array().unwrap().iter().collect();
    let expected = serde_json::json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
    assert_eq!(platforms[1]["platform"], expected);
    let old = [("linux/amd64".to_owned(), found("1", docker))];
    assert_eq!(Index::of(&old).unwrap().media_type, DOCKER_LIST);
}

#[test]
fn parameters_of_a_challenge_are_found_whatever_their_order() {
    let challenge = r#"realm="https://auth.example/token?a=b,c",service="r.example", scope=x"#;
    let find = |name| parameter(challenge, name);
    assert_eq!(
        find("realm").as_deref(),
        Some("https://auth.example/token?a=b,c")
    );
    assert_eq!(find("Service").as_deref(), Some("r.example"));
    assert_eq!(find("scope").as_deref(), Some("x"));
    assert_eq!(find("error"), None);
}

/// A registry that wants a login of this kind. Answers its host and what it was told.
async fn registry_that_wants(challenge: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    // A second installation is refused, and harmless: another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let challenge = challenge.replace("HOST", &host);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let router = Router::new()
        .fallback(answer)
        .with_state((challenge, Arc::clone(&told)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (host, told)
}

async fn answer(
    State((challenge, told)): State<(String, Arc<Mutex<Vec<String>>>)>,
    request: Request,
) -> axum::response::Response {
    let shown = request.headers().get(AUTHORIZATION);
    let shown = shown.map_or("nothing", |shown| shown.to_str().unwrap());
    let line = format!("{} {} with {shown}", request.method(), request.uri());
    told.lock().unwrap().push(line);
    if request.uri().path() == "/token" {
        return Json(serde_json::json!({ "token": "t0k" })).into_response();
    }
    if shown == "nothing" {
        let header = [(WWW_AUTHENTICATE, challenge)];
        return (StatusCode::UNAUTHORIZED, header).into_response();
    }
    StatusCode::CREATED.into_response()
}

async fn put_to(host: &str) {
    let credentials = DockerCredentials {
        username: Some("me".into()),
        password: Some("pw".into()),
        ..Default::default()
    };
    let index = Index::of(&[("linux/amd64".to_owned(), found("1", OCI_MANIFEST))]).unwrap();
    let repository = format!("{host}/acme/shop");
    let registry = Registry::new(&repository, true, Some(credentials)).unwrap();
    registry.put("run-1", &index).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_wants_a_password_gets_it() {
    let (host, told) = registry_that_wants("Basic realm=\"r\"").await;
    put_to(&host).await;
    let expected = [
        "PUT /v2/acme/shop/manifests/run-1 with nothing",
        "PUT /v2/acme/shop/manifests/run-1 with Basic bWU6cHc=",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_registry_that_wants_a_token_gets_the_one_it_names() {
    let challenge = r#"Bearer realm="http://HOST/token",service="reg""#;
    let (host, told) = registry_that_wants(challenge).await;
    put_to(&host).await;
    let expected = [
        "PUT /v2/acme/shop/manifests/run-1 with nothing",
        "GET /token?service=reg&scope=repository%3Aacme%2Fshop%3Apull%2Cpush with Basic bWU6cHc=",
        "PUT /v2/acme/shop/manifests/run-1 with Bearer t0k",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}
