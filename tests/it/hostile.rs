//! Whoever can reach the webhook's address can send it anything, at any speed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::github::sign;
use tests::world::{WEBHOOK_SECRET, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);
const MIB: u64 = 1024 * 1024;

/// The beginning of a delivery whose signature is claimed, and does not hold.
fn head(more: &str) -> String {
    let signature = "0".repeat(64);
    format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         X-Hub-Signature-256: sha256={signature}\r\n{more}\r\n\r\n"
    )
}

async fn open(world: &World, begun: &str) -> Result<TcpStream> {
    let address = world.api.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(begun.as_bytes()).await?;
    Ok(stream)
}

/// The status that a connection is answered with.
async fn status(mut stream: TcpStream) -> Result<String> {
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(answer.get(9..).unwrap_or_default()).into_owned())
}

/// Sends chunks until it is stopped: the status of the answer.
async fn endless(world: &World) -> Result<String> {
    let mut stream = open(world, &head("Transfer-Encoding: chunked")).await?;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    // It hangs up at some time, perhaps before its answer has been read.
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        let mut first = [0; 12];
        match stream.try_read(&mut first) {
            Ok(12) => return Ok(String::from_utf8_lossy(&first[9..]).into_owned()),
            Ok(_) => break,
            Err(_) => {}
        }
    }
    Ok("413".to_owned())
}

/// Bytes of memory that the server holds.
async fn memory(world: &World) -> Result<u64> {
    let pid = world.server_pid().await?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no VmRSS")?.parse::<u64>()? * 1024)
}

/// F4
#[tokio::test]
async fn whoever_sends_slowly_or_without_end_takes_nothing_from_the_others() -> Result<()> {
    let world = World::start().await?;
    let before = memory(&world).await?;
    let mut held = Vec::new();
    for _ in 0..250 {
        held.push(open(&world, "").await?);
        held.push(open(&world, "POST /webhooks/github HTTP/1.1\r\nX-Slow: ").await?);
    }
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(open(&world, &(head("Content-Length: 1000") + "{")).await?);
    }
    let declared = open(&world, &head(&format!("Content-Length: {}", 26 * MIB))).await?;
    assert_eq!(status(declared).await?, "413");
    assert_eq!(endless(&world).await?, "413");
    let mut took = Vec::new();
    for number in 0..50 {
        let body = format!("{{\"zen\":\"{number}\"}}");
        let headers = world
            .github
            .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
        let began = Instant::now();
        assert_eq!(world.github.send_raw(&headers, body).await?.status, 202);
        took.push(began.elapsed());
    }
    took.sort_unstable();
    assert!(took[48] <= Duration::from_millis(500), "{took:?}");
    for mut stream in slow {
        // A byte now and then does not keep it open.
        stream.write_all(b"x").await?;
        assert_eq!(status(stream).await?, "408");
    }
    let grown = memory(&world).await?.saturating_sub(before) / MIB;
    assert!(grown <= 32, "the server has grown by {grown} MiB");
    eprintln!("p99 {:?}, the server has grown by {grown} MiB", took[48]);
    Ok(())
}

/// F5
#[tokio::test]
async fn a_compressed_body_is_refused_and_never_inflated() -> Result<()> {
    let world = World::start().await?;
    for coding in ["gzip", "deflate", "br", "gzip, gzip"] {
        let body = vec![0x1f, 0x8b, 0x08, 0];
        let mut headers = world.github.signed_headers("push", &body, WEBHOOK_SECRET);
        headers.push(("Content-Encoding".to_owned(), coding.to_owned()));
        let answer = world.github.send_raw(&headers, body).await?;
        assert_eq!(answer.status, 415, "{coding}");
    }
    Ok(())
}

/// Bodies of a push that only somebody who knows the secret could send, and GitHub never would.
fn nonsense(good: &str) -> Vec<(&'static str, Vec<u8>)> {
    let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    let mut invalid = with("refs/heads/main", "refs/heads/m@in");
    for byte in &mut invalid {
        if *byte == b'@' {
            *byte = 0xff;
        }
    }
    vec![
        ("deep", [vec![b'['; 100_000], vec![b']'; 100_000]].concat()),
        (
            "deep inside",
            with(
                "{",
                &format!("{{\"x\":{}1{},", "[".repeat(50_000), "]".repeat(50_000)),
            ),
        ),
        ("twice", with("{", "{\"ref\":\"refs/heads/other\",")),
        ("no UTF-8", invalid),
        (
            "a zero in the ref",
            with("refs/heads/main", "refs/heads/m\\u0000in"),
        ),
        (
            "half a letter",
            with("refs/heads/main", "refs/heads/\\ud800"),
        ),
        ("too large a number", with("{", "{\"size\":1e400,")),
        (
            "an id that is none",
            with("\"repository\":{", "\"repository\":{\"id\":-1e9,"),
        ),
        ("nothing", b"{}".to_vec()),
        ("null", b"null".to_vec()),
        ("empty", Vec::new()),
        ("a text", b"\"push\"".to_vec()),
    ]
}

/// F6
#[tokio::test]
async fn nonsense_in_a_signed_body_ends_with_words_and_harms_nothing() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    world.github.hold_deliveries();
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let good = world
        .github
        .deliveries_of("push")
        .pop()
        .context("no push")?
        .body;
    for (what, body) in nonsense(&good) {
        let mut headers = world.github.signed_headers("push", &body, WEBHOOK_SECRET);
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("x-hub-signature-256"));
        headers.push((
            "X-Hub-Signature-256".to_owned(),
            sign(WEBHOOK_SECRET, &body),
        ));
        let status = world.github.send_raw(&headers, body).await?.status;
        ensure!(matches!(status, 202 | 400..=499), "{what}: {status}");
    }
    world.github.release_deliveries().await;
    let history = world.history().await?;
    world
        .eventually("all of it to be handled", SOON, async || {
            let open = "select count(*) from deliveries where state = 'stored'";
            ensure!(history.number(open).await? == 0, "not yet");
            Ok(())
        })
        .await?;
    assert_eq!(
        world.runs("acme/shop", 1).await?[0].branch.as_deref(),
        Some("main")
    );
    let (_, metrics) = world.api.get("/metrics").await?;
    let panics = metrics
        .lines()
        .filter(|line| line.starts_with("seaworthy_panics_total{"));
    assert_eq!(panics.collect::<Vec<_>>(), Vec::<&str>::new());
    Ok(())
}
