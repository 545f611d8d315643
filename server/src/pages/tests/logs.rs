//! Logs: where they open, their windows and chunks, hostile output, the raw text.

use axum::http::{Request, StatusCode, header};

use super::{Site, between};
use crate::pages::assets;

#[tokio::test]
async fn a_log_opens_at_its_failure_and_has_windows() {
    let site = Site::seeded().await;
    let job = "/repos/acme/shop/runs/42/jobs/unit";
    let html = site.page(job).await;
    assert!(html.contains("data-open=\"1862\"") && html.contains("data-lines=\"1869\""));
    assert!(html.contains("id=\"L1862\" class=\"x\""));
    let first = site.page(&format!("{job}?from=1")).await;
    assert!(
        first.contains("id=\"L1\"")
            && first.contains("id=\"L1000\"")
            && !first.contains("id=\"L1001\"")
    );
    assert!(first.contains("from=1001") && first.contains("go vet ./…"));
    assert!(
        site.page(&format!("{job}?at=40"))
            .await
            .contains("id=\"L40\"")
    );
    let clock = site.page(&format!("{job}?times=since")).await;
    assert!(clock.contains("<time class=\"raw\">80.0 s</time>"));
    assert_eq!(
        site.get(&format!("{job}?attempt=7")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn chunks_are_exact_and_kept_once_nothing_can_change() {
    let site = Site::seeded().await;
    let job = "/repos/acme/shop/runs/42/jobs/unit/log";
    let version = assets::version();
    let chunk = site
        .get(&format!("{job}?attempt=1&chunk=3&v={version}"))
        .await;
    assert_eq!(chunk.text.matches("<div").count(), 369);
    assert_eq!(chunk.headers[header::CACHE_CONTROL], "private, no-cache");
    let whole = site
        .get(&format!("{job}?attempt=1&chunk=2&v={version}"))
        .await;
    assert!(
        whole.headers[header::CACHE_CONTROL]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(
        (&chunk.headers["x-lines"], &chunk.headers["x-done"]),
        (&"1869".parse().unwrap(), &"yes".parse().unwrap())
    );
    let after = site.get(&format!("{job}?attempt=1&after=1867")).await;
    assert_eq!(after.text.matches("<div").count(), 2);
    assert_eq!(
        site.get(&format!("{job}?attempt=1&chunk=99999999"))
            .await
            .text,
        ""
    );
    let running = "/repos/acme/shop/runs/46/jobs/unit/log";
    let open = site
        .get(&format!("{running}?attempt=1&chunk=0&v={version}"))
        .await;
    assert_eq!(open.headers[header::CACHE_CONTROL], "private, no-cache");
}

/// F50
#[tokio::test]
async fn hostile_output_stays_output() {
    let site = Site::seeded().await;
    let html = site.page("/repos/acme/api/runs/1/jobs/print").await;
    let log = between(&html, "data-done=", "<p id=\"log-end\"");
    assert!(log.contains("&lt;script&gt;alert(1)") && !log.contains("<script"));
    assert!(!log.contains("javascript:") && log.contains("href=\"https://acme.example/\""));
    assert!(log.contains("U+202E") && log.contains("bytes more, see raw"));
    assert!(log.contains("(100 earlier states)"));
    assert!(html.len() < 60_000, "{}", html.len());
}

#[tokio::test]
async fn the_raw_log_is_what_was_printed_whole_or_in_part() {
    let site = Site::seeded().await;
    let path = "/repos/acme/shop/runs/42/jobs/unit/log.txt";
    let whole = site.get(path).await;
    assert!(
        whole
            .text
            .contains("\x1b[31m--- FAIL: TestTotal (0.02s)\x1b[0m\n")
    );
    assert_eq!(whole.text.lines().count(), 1869);
    assert_eq!(
        whole.headers[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    for (range, first, end) in [("bytes=0-9", 0, 10), ("bytes=30000-41000", 30_000, 41_001)] {
        let part = site
            .ask(Request::get(path).header(header::RANGE, range), "")
            .await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.text, whole.text[first..end]);
    }
    let beyond = site
        .ask(
            Request::get(path).header(header::RANGE, "bytes=9999999-"),
            "",
        )
        .await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn a_search_tells_the_true_total_and_leads_from_match_to_match() {
    let site = Site::seeded().await;
    let job = "/repos/acme/shop/runs/42/jobs/unit";
    let html = site.page(&format!("{job}?q=testTOTAL&attempt=1")).await;
    assert!(html.contains("<strong>1 line</strong> matches"));
    let found = between(&html, "aria-label=\"Matches\"", "</section>");
    assert!(found.contains("#L1862") && found.contains("class=\"hit\""));
    let none = site.page(&format!("{job}?q=testTOTAL&case=1")).await;
    assert!(none.contains("<strong>0 lines</strong> match <q>testTOTAL</q>"));
    let wrong = site.page(&format!("{job}?q=a(&re=1")).await;
    assert!(wrong.contains("This is no regular expression:</strong> unclosed group"));
    let hostile = site.page(&format!("{job}?q=%3Cscript%3E")).await;
    assert!(hostile.contains("<q>&#60;script&#62;</q>"));
}

#[tokio::test]
async fn errors_are_listed_and_led_to_without_a_script() {
    let site = Site::seeded().await;
    let job = "/repos/acme/shop/runs/42/jobs/unit";
    let first = site.page(&format!("{job}?from=1")).await;
    assert!(first.contains("at=1862#L1862\">Next error</a>"));
    let errors = site.page(&format!("{job}?only=errors")).await;
    assert!(errors.contains("like an error"));
    let range = site.page(&format!("{job}?at=40-42")).await;
    assert_eq!(range.matches("class=\"at\"").count(), 3);
}

#[tokio::test]
async fn the_whole_log_is_one_page() {
    let site = Site::seeded().await;
    let html = site
        .page("/repos/acme/shop/runs/42/jobs/unit/log/all")
        .await;
    assert_eq!(html.matches("<div id=\"L").count(), 1869);
    assert_eq!(html.matches("<section>").count(), 4);
    assert!(html.ends_with("</html>") || html.ends_with("</html>\n"));
}
