//! Downloads: what browsers are told, and that nobody gets another run's file.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use pipelines::timestamp::Timestamp;
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::{digest, disposition};
use crate::blobs::{Announced, Kind};
use crate::progress::tests::{World, steps};
use crate::store::access::{self, NewToken};
use crate::store::artifacts::{self, NewArtifact, Place};
use crate::token::{Kind as TokenKind, hash, hex, mint};

const PAGE: &str = "<script>alert(1)</script>";

/// Two runs, of which the first has left one file, and who may ask: a person and a program.
async fn world() -> (World, [(&'static str, String); 2]) {
    let world = World::new().await;
    for _ in 0..2 {
        world.run(vec![steps("unit", &[])]).await;
    }
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, PAGE.as_bytes());
    let announced = Announced {
        kind: Kind::Artifact,
        repo: pipelines::ids::RepoId(7),
        digest: hex(sum.as_ref()),
        bytes_max: 100,
    };
    let body = futures_util::stream::iter([Ok::<_, String>(PAGE.into())]);
    let kept = world.app.blobs.keep(&announced, body).await.unwrap();
    let (minted, now) = (mint(TokenKind::Api), Timestamp(1));
    let mut tx = world.app.store.begin().await.unwrap();
    let place = Place {
        job: pipelines::ids::JobId(1),
        attempt: pipelines::ids::Attempt(1),
        kind: pipelines::wire::ArtifactKind::Artifact,
        path: "site/index ü.html",
    };
    let new = NewArtifact {
        object: &kept.object,
        bytes: kept.bytes,
        digest: &announced.digest,
    };
    assert!(artifacts::insert(&mut tx, place, new, now).await.unwrap());
    let token = NewToken {
        name: "board",
        id: &minted.id,
        hash: &minted.hash,
    };
    access::insert_token(&mut tx, token, now).await.unwrap();
    let now = world.app.clock.now();
    access::insert_session(&mut tx, &hash("mira"), "mira", now)
        .await
        .unwrap();
    sqlx::query("update jobs set attempt = 1 where id = 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let bearer = format!("Bearer {}", minted.text.expose_secret());
    (
        world,
        [
            ("cookie", "seaworthy=mira".into()),
            ("authorization", bearer),
        ],
    )
}

async fn get(
    world: &World,
    path: &str,
    (name, value): &(&'static str, String),
) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path)
        .header(*name, value)
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .unwrap();
    let response = crate::web::router(world.app.clone())
        .oneshot(request)
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

const PERSON: &str = "/repos/acme/shop/runs/1/artifacts/1/index.html";
const PROGRAM: &str = "/api/v1/repos/acme/shop/runs/1/artifacts/1";

#[tokio::test]
async fn a_file_is_an_attachment_that_no_browser_runs() {
    let (world, [person, program]) = world().await;
    for (path, who) in [(PERSON, person), (PROGRAM, program)] {
        let (status, headers, text) = get(&world, path, &who).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, PAGE));
        let told = |name: &str| format!("{name}: {}\n", headers[name].to_str().unwrap());
        let told: String = [
            "content-type",
            "content-length",
            "content-disposition",
            "content-security-policy",
            "x-content-type-options",
            "cache-control",
            "repr-digest",
        ]
        .map(told)
        .concat();
        insta::allow_duplicates! {
            insta::assert_snapshot!(told, @r#"
            content-type: application/octet-stream
            content-length: 25
            content-disposition: attachment; filename="index__.html"; filename*=UTF-8''index%20%C3%BC.html
            content-security-policy: default-src 'none'; sandbox; frame-ancestors 'none'
            x-content-type-options: nosniff
            cache-control: private, no-cache
            repr-digest: sha-256=:XBQNNdy0amIuLO3171zDY4zf/RwRjJMx+MhGafC3R4M=:
            "#);
        }
    }
}

#[tokio::test]
async fn a_number_names_a_file_only_in_its_own_run() {
    let (world, [person, program]) = world().await;
    let elsewhere = [
        PERSON.replace("runs/1", "runs/2"),
        PERSON.replace("runs/1", "runs/9"),
        PERSON.replace("artifacts/1", "artifacts/2"),
        PERSON.replace("shop", "tools"),
    ];
    for path in elsewhere {
        assert_eq!(
            get(&world, &path, &person).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in [
        PROGRAM.replace("runs/1", "runs/2"),
        PROGRAM.replace("artifacts/1", "artifacts/2"),
        PROGRAM.replace("shop", "tools"),
    ] {
        assert_eq!(
            get(&world, &path, &program).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let turned_away = get(&world, PERSON, &program).await;
    assert_eq!(turned_away.0, StatusCode::SEE_OTHER);
    assert_eq!(
        get(&world, PROGRAM, &person).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_file_whose_bytes_are_gone_is_told_apart() {
    let (world, [person, _]) = world().await;
    let object: String = world.ask("select object from artifacts").await;
    world.app.blobs.remove(vec![object]).await.unwrap();
    let (status, ..) = get(&world, PERSON, &person).await;
    assert_eq!(status, StatusCode::GONE);
}

#[test]
fn a_name_cannot_break_out_of_its_header() {
    assert_eq!(
        disposition("a/x\"; filename=\"b.html"),
        "attachment; filename=\"x___filename__b.html\"; filename*=UTF-8''x%22%3B%20filename%3D%22b.html"
    );
    assert_eq!(digest("00ff"), "sha-256=:AP8=:");
}
