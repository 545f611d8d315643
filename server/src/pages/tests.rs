//! Every page over a seeded history, asked as a browser would, without a network.

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use pipelines::ids::{Attempt, JobId};
use tower::ServiceExt;

use crate::app::App;
use crate::config::Config;
use crate::store::Store;

mod colour;
mod fixture;
mod logs;
mod tabs;
mod templates;

struct Site {
    app: App,
    router: Router,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Site {
    async fn empty() -> Self {
        Self::new(false).await
    }

    async fn seeded() -> Self {
        Self::new(true).await
    }

    async fn new(seeded: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let app = App::new(Config::new(folder.path()), store).unwrap();
        let mut tx = app.store.begin().await.unwrap();
        let session = crate::token::hash(fixture::SESSION);
        let seed = fixture::Seed::new(&mut tx, app.clock.now(), &session)
            .await
            .unwrap();
        let logs = if seeded {
            seed.all().await.unwrap()
        } else {
            Vec::new()
        };
        tx.commit().await.unwrap();
        for (job, attempt, log) in logs {
            let id = (JobId(job), Attempt(attempt));
            app.objects
                .alone(id.0)
                .await
                .append(id.1, 0, &log)
                .await
                .unwrap();
        }
        Self {
            router: crate::web::router(app.clone()),
            app,
            _folder: folder,
        }
    }

    async fn ask(&self, request: Builder, body: &str) -> Answer {
        let request = request.header(header::COOKIE, "seaworthy=gallery");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path), "").await
    }

    /// A page that is there.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    }

    /// Bytes of the answer as they travel, compressed.
    async fn compressed(&self, path: &str) -> usize {
        let request = Request::get(path)
            .header(header::COOKIE, "seaworthy=gallery")
            .header(header::ACCEPT_ENCODING, "gzip");
        let request = request.body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip", "{path}");
        axum::body::to_bytes(answer.into_body(), 64 << 20)
            .await
            .unwrap()
            .len()
    }
}

/// What stands between two marks.
fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    let rest = html.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(text, _)| text)
}

/// HTML as a person reads it.
fn visible(html: &str) -> String {
    let mut text = String::new();
    let mut tag = false;
    for letter in html.chars() {
        match letter {
            '<' => tag = true,
            '>' => {
                tag = false;
                text.push(' ');
            }
            other if !tag => text.push(other),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const PAGES: &[(&str, &str)] = &[
    ("/", "Needs you"),
    ("/repos/acme/shop", "Failed"),
    (
        "/repos/acme/shop?state=failed&branch=main&author=jonas",
        "Failed",
    ),
    ("/repos/acme/shop/runs/42", "Failed"),
    ("/repos/acme/shop/runs/46", "Running"),
    ("/repos/acme/shop/runs/47", "Queued"),
    ("/repos/acme/shop/runs/43", "Passed"),
    ("/repos/acme/docs/runs/1", "Failed"),
    ("/repos/acme/docs/runs/1/file", "Failed"),
    ("/repos/acme/shop/runs/49", "Failed"),
    ("/repos/acme/shop/runs/49/graph", "Failed"),
    ("/repos/acme/shop/runs/49/timing", "Failed"),
    ("/repos/acme/shop/runs/49/tests", "Failed"),
    ("/repos/acme/shop/runs/49/artifacts", "Failed"),
    ("/repos/acme/shop/runs/49/file", "Failed"),
    ("/repos/acme/shop/runs/49/events", "Failed"),
    ("/repos/acme/shop/runs/46/timing", "Running"),
    ("/repos/acme/shop/runs/46/tests", "Running"),
    ("/repos/acme/shop/runs/42/jobs/unit", "Failed"),
    ("/repos/acme/shop/runs/42/jobs/image", "Skipped"),
    ("/repos/acme/shop/runs/46/jobs/unit", "Running"),
    ("/repos/acme/api/runs/1/jobs/print", "Passed"),
    ("/repos/acme/shop/check", "Check"),
    ("/repos/acme/shop/start", "Start a run"),
    ("/environments", "Failed"),
    ("/repos/acme/shop/environments", "Failed"),
    ("/repos/acme/shop/environments/production", "Failed"),
    ("/repos/acme/shop/environments/staging", "Running"),
    ("/repos/acme/shop/deploys/1", "Passed"),
    ("/repos/acme/shop/deploys/2", "Failed"),
    ("/repos/acme/shop/deploys/3", "Running"),
    ("/runners", "Connected"),
    ("/queue", "Queued"),
    ("/audit", "Audit"),
    ("/storage", "Storage"),
    ("/deliveries", "Deliveries"),
    ("/deliveries/1", "Done"),
    ("/_ui", "Components"),
];

#[tokio::test]
async fn every_page_begins_with_its_status_and_keeps_its_budget() {
    let site = Site::seeded().await;
    for (path, status) in PAGES {
        let html = site.page(path).await;
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
        let heading = visible(&format!("<h1{}", between(&html, "<h1", "</h1>")));
        assert!(heading.starts_with(status), "{path}: {heading}");
        assert!(
            !html.contains("<!--part") && !html.contains("data-v=\"\""),
            "{path}"
        );
        assert!(html.len() < 300_000, "{path} has {} bytes", html.len());
        let tags = html.matches('<').count() - html.matches("</").count();
        let (tags_max, gz_max) = if path.contains("/jobs/") {
            (6000, 40_000)
        } else {
            (3000, 30_000)
        };
        assert!(tags < tags_max, "{path} has {tags} elements");
        let gz = site.compressed(path).await;
        assert!(gz < gz_max, "{path} has {gz} bytes compressed");
    }
}

#[tokio::test]
async fn static_files_keep_their_budgets_and_are_kept_for_ever() {
    let site = Site::empty().await;
    let address = super::assets::address;
    assert!(site.compressed(address("style.css")).await < 8 * 1024);
    let scripts =
        site.compressed(address("live.js")).await + site.compressed(address("log.js")).await;
    assert!(scripts < 16 * 1024, "{scripts}");
    let answer = site.get(address("style.css")).await;
    assert!(
        answer.headers[header::CACHE_CONTROL]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let tag = answer.headers[header::ETAG].clone();
    let again = Request::get(address("style.css")).header(header::IF_NONE_MATCH, tag);
    assert_eq!(site.ask(again, "").await.status, StatusCode::NOT_MODIFIED);
    let old = site.get("/static/0123/style.css").await;
    assert_eq!(old.headers[header::CACHE_CONTROL], "no-cache");
    assert_eq!(
        site.get("/static/0123/none.css").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_reason_of_a_failure_stands_before_everything_else() {
    let site = Site::seeded().await;
    let html = site.page("/repos/acme/shop/runs/42").await;
    let text = visible(between(&html, "<main", "</main>"));
    insta::assert_snapshot!(
        between(&text, "File Events ", " Jobs"),
        @"Failed unit in step “go test ./…”, exit code 1 1860 === RUN TestPrices/case_1798 1861 === RUN TestPrices/case_1799 1862 --- FAIL: TestTotal (0.02s) 1863 total_test.go:41: total of 3 × 0.35 is 1.06, want 1.05 1864 total_test.go:42: rounding mode is half up , want half to even 1865 FAIL 1866 FAIL acme.example/shop/price 0.412s 1867 ok acme.example/shop/stock 0.120s 1868 FAIL"
    );
    assert!(html.contains("/repos/acme/shop/runs/42/jobs/unit?at=1862#L1862"));
    let groups = ["Failed unit", "Passed lint", "Not run Skipped"].map(|mark| text.rfind(mark));
    assert!(groups.is_sorted() && groups[0].is_some(), "{groups:?}");
    // One click from the first page.
    assert!(
        site.page("/")
            .await
            .contains("/repos/acme/shop/runs/44/jobs/roll-out")
    );
}

#[tokio::test]
async fn problems_stand_under_their_line_and_titles_are_text() {
    let site = Site::seeded().await;
    let html = site.page("/repos/acme/docs/runs/1").await;
    assert!(!html.contains("<b>manual"), "a title became markup");
    let line = between(&html, "id=\"F4\"", "id=\"F5\"");
    assert!(
        visible(line)
            .contains("Line 4, column 5: stpes is not a key of a job did you mean steps ?")
    );
}

#[tokio::test]
async fn a_rollout_says_what_is_wrong_and_readiness_decides() {
    let site = Site::seeded().await;
    let html = site.page("/repos/acme/shop/deploys/2").await;
    let text = visible(between(&html, "<main", "</main>"));
    assert!(
        text.contains("New Failing shop-7d9f6b-00001: failing (CrashLoopBackOff, exit code 3)"),
        "{text}"
    );
    assert!(text.contains("2 failing, 2 not created") && text.contains("3 ready"));
    assert!(text.contains("What is wrong Container shop exits with code 3 on 2 pods"));
    let live = visible(&site.page("/repos/acme/shop/deploys/3").await);
    assert!(live.contains("Rolling out 4f2a91c to staging: 2 of 4 ready, 1 starting"));
    assert!(live.contains("1 ready, 1 terminating"));
    let board = visible(&site.page("/environments").await);
    assert!(board.contains("not declared") && board.contains("running, 2/4 ready"));
}

#[tokio::test]
async fn parts_are_the_page_and_cost_a_line_when_unchanged() {
    let site = Site::seeded().await;
    let path = "/repos/acme/shop/runs/42";
    let page = site.page(path).await;
    let part = site.get(&format!("{path}?part=jobs")).await;
    assert!(part.text.starts_with("<title>Failed · shop #42"));
    let jobs = part.text.split_once("<section").unwrap().1;
    assert!(page.contains(jobs), "the part is not in the page");
    let tag = part.headers[header::ETAG].clone();
    let again = Request::get(format!("{path}?part=jobs")).header(header::IF_NONE_MATCH, tag);
    assert_eq!(site.ask(again, "").await.status, StatusCode::NOT_MODIFIED);
    assert!(site.get(&format!("{path}?part=none")).await.text.len() < 250);
}

#[tokio::test]
async fn an_empty_installation_says_what_to_do_first() {
    let site = Site::empty().await;
    let welcome = visible(&site.page("/").await);
    assert!(
        welcome.contains("Welcome: 0 of 5 done") && welcome.contains("seaworthy admin runner add")
    );
    assert!(
        site.page("/runners")
            .await
            .contains("seaworthy runner --server")
    );
    assert!(
        site.page("/environments")
            .await
            .contains("environments.yml")
    );
    for path in ["/queue", "/audit", "/deliveries"] {
        site.page(path).await;
    }
    for path in ["/repos/a/b", "/repos/a/b/runs/1", "/nothing"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains("<h1>") && answer.text.contains("style.css"));
    }
}

#[tokio::test]
async fn filters_survive_in_the_address_and_pages_follow_a_cursor() {
    let site = Site::seeded().await;
    let all = site.page("/repos/acme/shop").await;
    assert!(all.contains("before=20") && all.contains("Older runs"));
    let older = site.page("/repos/acme/shop?before=20").await;
    assert!(older.contains("Newest runs") && older.contains("/runs/19\""));
    let odd = site.page("/repos/acme/shop?branch=a%2Fb%23c%2520%22").await;
    assert!(odd.contains("value=\"a/b#c%20&#34;\"") && odd.contains("No run matches"));
}

#[tokio::test]
async fn an_action_needs_the_sessions_own_mark_and_says_what_came_of_it() {
    let site = Site::seeded().await;
    let run = "/repos/acme/shop/runs/47";
    let form = |csrf: &str| format!("csrf={csrf}");
    let post = || {
        Request::post(format!("{run}/cancel"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    assert_eq!(
        site.ask(post(), &form("wrong")).await.status,
        StatusCode::FORBIDDEN
    );
    let html = site.page(run).await;
    let csrf = between(&html, "name=\"csrf\" value=\"", "\"");
    let done = site.ask(post(), &form(csrf)).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let to = done.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(to, "/repos/acme/shop/runs/47?notice=cancelled");
    let after = visible(&site.page(to).await);
    assert!(
        after.contains("has been asked to stop") && after.contains("Cancelled"),
        "{after}"
    );
    let again = site.ask(post(), &form(csrf)).await;
    assert!(
        again.headers[header::LOCATION]
            .to_str()
            .unwrap()
            .ends_with("already-ended")
    );
    assert!(
        !site
            .page("/?notice=%3Cb%3E")
            .await
            .contains("class=\"notice\"")
    );
    drop(site.app);
}
