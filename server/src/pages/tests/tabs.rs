//! The tabs of a run.

use super::{Site, between, visible};

async fn tab(path: &str) -> (String, String) {
    let html = Site::seeded().await.page(path).await;
    let text = visible(between(&html, "</nav></div>", "</main>"));
    (html, text)
}

#[tokio::test]
async fn failed_tests_are_named_with_their_words_and_their_past() {
    let (html, text) = tab("/repos/acme/shop/runs/49/tests").await;
    assert!(
        text.contains(
            "New failures Failed refunds::rounds_half_to_even shop in test-beta-postgres"
        ),
        "{text}"
    );
    assert!(text.contains("no earlier result") && text.contains("left: 1005"));
    assert!(html.contains(">2 failed</span>"), "the tab counts them");
}

#[tokio::test]
async fn the_summary_names_failed_tests_and_cells() {
    let (_, text) = tab("/repos/acme/shop/runs/49").await;
    assert!(
        text.contains("Failed tests: refunds::rounds_half_to_even , tax::is_shown · all of them"),
        "{text}"
    );
    assert!(text.contains("test-1-95-sqlite db sqlite, toolchain 1.95"));
}

#[tokio::test]
async fn artifacts_are_links_that_no_name_can_bend() {
    let (html, text) = tab("/repos/acme/shop/runs/49/artifacts").await;
    assert!(text.contains("12 files, 48 MiB"), "{text}");
    assert!(html.contains("/repos/acme/shop/runs/49/artifacts/2/shop%20%3C1%3E.xml\""));
    assert!(text.contains("test report 4.0 KiB 60303ae22b99"));
}

#[tokio::test]
async fn the_graph_is_a_picture_and_a_list_that_say_the_same() {
    let (html, text) = tab("/repos/acme/shop/runs/49/graph").await;
    assert_eq!(html.matches("<rect x=").count(), 7);
    assert_eq!(html.matches("class=\"bad\"").count(), 1);
    assert!(
        text.contains("Skipped image needs test-beta-postgres , which failed after test-stable-postgres, test-beta-postgres, test-1-95-sqlite"),
        "{text}"
    );
}

#[tokio::test]
async fn timing_says_where_the_time_went_also_of_a_run_that_goes_on() {
    let (html, text) = tab("/repos/acme/shop/runs/49/timing").await;
    assert!(
        text.contains("test-1-95-sqlite ◆ the whole run waited for it"),
        "{text}"
    );
    assert!(html.contains("<rect class=\"work\""));
    let (html, _) = tab("/repos/acme/shop/runs/46/timing").await;
    assert!(html.contains("data-since="));
}

#[tokio::test]
async fn the_file_names_what_it_was_made_with() {
    let (_, text) = tab("/repos/acme/shop/runs/49/file").await;
    assert!(
        text.contains("acme/pipelines@v3:rust.yml at 0123456"),
        "{text}"
    );
}
