//! Deliveries: believed when signed, stored once, acknowledged when stored.

use aws_lc_rs::hmac;
use axum::body::{Body, Bytes};
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use futures_util::{StreamExt, stream};
use pipelines::limits::{WEBHOOK_LARGE_READERS, WEBHOOK_SMALL_BYTES_MAX};
use tokio_util::sync::CancellationToken;

use super::{Answer, Server};
use crate::token::hex;

const BODY: &str = r#"{"zen":"Keep it logically awesome."}"#;

fn sign(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex(hmac::sign(&key, body.as_bytes()).as_ref()))
}

/// A delivery without a signature.
fn unsigned(guid: &str) -> Builder {
    Request::post("/webhooks/github")
        .header("content-type", "application/json")
        .header("x-github-event", "ping")
        .header("x-github-delivery", guid)
}

fn signed(guid: &str, body: &str) -> Request<Body> {
    let request = unsigned(guid).header("x-hub-signature-256", sign("present", body));
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn rows(server: &Server) -> Vec<(String, i64)> {
    sqlx::query_as("select guid, repeats from deliveries order by id")
        .fetch_all(server.app.store.reader())
        .await
        .unwrap()
}

async fn refusals(server: &Server, reason: &str) -> bool {
    let wanted = format!("seaworthy_webhook_refusals_total{{reason=\"{reason}\"}}");
    server.get("/metrics").await.text.contains(&wanted)
}

#[tokio::test]
async fn a_signed_delivery_is_stored_and_accepted() {
    let server = Server::new().await;
    assert_eq!(
        server.send(signed("one", BODY)).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(rows(&server).await, [("one".to_owned(), 0)]);
}

#[tokio::test]
async fn the_former_secret_holds_while_it_is_being_changed() {
    let server = Server::new().await;
    let request = unsigned("one").header("x-hub-signature-256", sign("former", BODY));
    let answer = server.send(request.body(BODY.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

/// F1
#[tokio::test]
async fn what_is_not_signed_by_a_live_secret_is_refused_and_not_stored() {
    let server = Server::new().await;
    let good = sign("present", BODY);
    let reencoded = sign("present", &BODY.replace(':', ": "));
    let shortened = good[..good.len() - 2].to_owned();
    let upper = format!("SHA256={}", &good[7..]);
    for signature in [
        sign("wrong", BODY),
        reencoded,
        shortened,
        upper,
        String::new(),
    ] {
        let request = unsigned("one").header("x-hub-signature-256", signature);
        let answer = server.send(request.body(BODY.into()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let sha1 = unsigned("one").header(
        "x-hub-signature",
        "sha1=a9993e364706816aba3e25717850c26c9cd0d89d",
    );
    assert_eq!(
        server.send(sha1.body(BODY.into()).unwrap()).await.status,
        StatusCode::UNAUTHORIZED
    );
    let twice = unsigned("one")
        .header("x-hub-signature-256", sign("wrong", BODY))
        .header("x-hub-signature-256", good);
    assert_eq!(
        server.send(twice.body(BODY.into()).unwrap()).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(rows(&server).await, []);
    assert!(refusals(&server, "signature").await);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_whether_it_says_its_length_or_not() {
    let server = Server::new().await;
    let claimed = unsigned("one")
        .header("x-hub-signature-256", sign("present", BODY))
        .header("content-length", 26 * 1024 * 1024);
    let answer = server.send(claimed.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // An endless body is read to the bound and no further.
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    let request = unsigned("one").header("x-hub-signature-256", sign("present", BODY));
    let answer = server
        .send(request.body(Body::from_stream(endless)).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(rows(&server).await, []);
}

#[tokio::test]
async fn what_is_not_plain_json_is_refused() {
    let server = Server::new().await;
    let send = |kind: &'static str, coding: Option<&'static str>| {
        let mut request = Request::post("/webhooks/github")
            .header("content-type", kind)
            .header("x-github-event", "ping")
            .header("x-github-delivery", "one")
            .header("x-hub-signature-256", sign("present", BODY));
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        server.send(request.body(BODY.into()).unwrap())
    };
    for (kind, coding) in [
        ("application/x-www-form-urlencoded", None),
        ("text/plain", None),
        ("application/json", Some("gzip")),
    ] {
        assert_eq!(
            send(kind, coding).await.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{kind}"
        );
    }
    let answer = send("application/json; charset=utf-8", Some("identity")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_repeat_and_a_replay_under_another_id_change_nothing_but_a_count() {
    let server = Server::new().await;
    for guid in ["one", "one", "other"] {
        assert_eq!(
            server.send(signed(guid, BODY)).await.status,
            StatusCode::ACCEPTED
        );
    }
    assert_eq!(rows(&server).await, [("one".to_owned(), 2)]);
}

#[tokio::test]
async fn fifty_at_once_are_one() {
    let server = Server::new().await;
    let sent = (0..50).map(|_| server.send(signed("one", BODY)));
    let answers: Vec<Answer> = futures_util::future::join_all(sent).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == StatusCode::ACCEPTED)
    );
    assert_eq!(rows(&server).await, [("one".to_owned(), 49)]);
}

#[tokio::test]
async fn large_bodies_wait_their_turn_and_keep_no_small_one_waiting() {
    let server = Server::new().await;
    // A body that is large and never ends, as often as the server reads such at once.
    let hung_up = CancellationToken::new();
    let slow = (0..WEBHOOK_LARGE_READERS).map(|_| {
        let begun = Bytes::from(vec![b' '; WEBHOOK_SMALL_BYTES_MAX + 1]);
        let hung_up = hung_up.clone();
        let end = stream::once(async move {
            hung_up.cancelled().await;
            Err(std::io::Error::other("the caller has hung up"))
        });
        let body = stream::iter([Ok(begun)]).chain(end);
        let request = unsigned("slow").header("x-hub-signature-256", sign("wrong", BODY));
        server.send(request.body(Body::from_stream(body)).unwrap())
    });
    let honest = async {
        let large = format!("\"{}\"", "x".repeat(WEBHOOK_SMALL_BYTES_MAX));
        let refused = server.send(signed("large", &large)).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers.contains_key("retry-after"));
        let small = server.send(signed("small", BODY)).await;
        assert_eq!(small.status, StatusCode::ACCEPTED);
    };
    tokio::select! {
        biased;
        _ = futures_util::future::join_all(slow) => panic!("an endless body ended"),
        () = honest => {}
    }
    // Who has given up has given back.
    hung_up.cancel();
    let large = format!("\"{}\"", "x".repeat(WEBHOOK_SMALL_BYTES_MAX));
    let answer = server.send(signed("large", &large)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn without_github_the_answer_says_what_to_set() {
    let server = Server::with(|_| {}).await;
    let answer = server.send(signed("one", BODY)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer.text.contains("SEAWORTHY_GITHUB_APP_ID"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_accepted() {
    let server = Server::new().await;
    server.app.store.close(&server.app.data).await;
    let answer = server.send(signed("one", BODY)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
