//! The page of a job's log in a real browser.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use pipelines::log::{Record, Voice};
use pipelines::wire::Assignment;
use tests::browser::{Browser, View};
use tests::caller::Caller;
use tests::world::World;

use crate::files::{FILE, steps};

const PAGE: &str = "/repos/acme/shop/runs/1/jobs/work";
const LINES: usize = 200_000;
/// As many as a debug build on a busy machine can search before a search ends by itself.
const FEW: usize = 20_000;

/// A job at work, its log, and a browser that has signed in.
struct Site {
    world: World,
    caller: Caller,
    job: Assignment,
    browser: Browser,
    sent: u64,
}

impl Site {
    /// A running job whose log is there already.
    async fn with(log: Vec<u8>) -> Result<Self> {
        let world = World::start_with(&[("SEAWORTHY_LEASE", "600")]).await?;
        let caller = Caller::register(&world, "r1").await?;
        let repository = world.repository("acme/shop").await?;
        repository
            .commit("main", "Begin", &[(FILE, &steps(&["true"])?)])
            .await?;
        let job = caller.claim().await?;
        let file = file(&world, &job);
        std::fs::create_dir_all(file.parent().context("a log is in a folder")?)?;
        std::fs::write(file, &log)?;
        let login = world.admin(&["login"]).await?;
        let (_, token) = login.trim().rsplit_once("token=").context("a link")?;
        let mut browser = Browser::start().await?;
        let (width, dark) = (1280, false);
        browser.look(View { width, dark }).await?;
        let sign_in = format!("{}/login?token={token}", world.api.url);
        browser.open(&sign_in).await?;
        browser.press("form button").await?;
        Ok(Self {
            world,
            caller,
            job,
            browser,
            sent: log.len() as u64,
        })
    }

    async fn open(&mut self, query: &str) -> Result<()> {
        // A page that differs in its fragment alone would not be loaded anew.
        self.browser.open("about:blank").await?;
        let address = format!("{}{PAGE}{query}", self.world.api.url);
        self.browser.open(&address).await
    }

    async fn send(&mut self, log: Vec<u8>) -> Result<()> {
        let length = log.len() as u64;
        self.caller.log(&self.job, self.sent, log).await?;
        self.sent += length;
        Ok(())
    }
}

fn file(world: &World, job: &Assignment) -> PathBuf {
    let name = format!("{}.{}.log", job.job, job.lease.attempt);
    let folder = (job.job.0 / 1000).to_string();
    world.data().join("logs").join(folder).join(name)
}

fn records<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut log = Vec::new();
    for (at_ms, text) in (1_764_000_000_000..).zip(texts) {
        let (step, voice) = (0, Voice::Out);
        let record = Record {
            at_ms,
            step,
            voice,
            text,
        };
        record.write(&mut log);
    }
    log
}

fn numbered(numbers: std::ops::RangeInclusive<usize>) -> Vec<u8> {
    let texts: Vec<_> = numbers
        .map(|number| match number % 50_000 {
            7 => format!("error: number {number}"),
            _ => format!("this is line {number} of a long build"),
        })
        .collect();
    records(texts.iter().map(String::as_bytes))
}

/// Whether a line is in the window.
fn sees(line: usize) -> String {
    format!(
        "(e => {{ if (!e) return false; const r = e.getBoundingClientRect(); \
         return r.top >= 0 && r.bottom <= innerHeight }})(document.getElementById('L{line}'))"
    )
}

#[tokio::test]
async fn a_log_of_200_000_lines_is_read_with_few_of_them_on_the_page() -> Result<()> {
    let _turn = tests::require!(Browser);
    let mut site = Site::with(numbered(1..=LINES)).await?;
    site.open("").await?;
    site.browser.until(&sees(LINES)).await?;
    for line in [150_000, 3, 99_999, 120_500] {
        site.browser
            .ask(&format!("location.hash = '#L{line}'"))
            .await?;
        site.browser.until(&sees(line)).await?;
    }
    // Lines that are far have been emptied, and their height stays: the scroll bar is honest.
    site.browser
        .until("document.querySelectorAll('#log > section > div').length <= 3500")
        .await?;
    let height = "Math.abs(document.getElementById('log').scrollHeight - 200000 * 20) < 200";
    site.browser.until(height).await?;
    site.open("?at=150000-150004#L150000-L150004").await?;
    site.browser.until(&sees(150_000)).await?;
    site.browser
        .until("document.querySelectorAll('#log .at').length === 5")
        .await?;
    site.browser.close().await
}

#[tokio::test]
async fn it_follows_exactly_while_the_last_line_is_seen() -> Result<()> {
    let _turn = tests::require!(Browser);
    let mut site = Site::with(numbered(10..=2009)).await?;
    site.open("").await?;
    site.browser.until(&sees(2000)).await?;
    site.send(numbered(2010..=2909)).await?;
    site.browser.until(&sees(2900)).await?;
    site.browser.ask("scrollBy(0, -3000)").await?;
    site.browser
        .until("document.querySelector('.follow').hidden")
        .await?;
    let before = site.browser.ask("scrollY").await?;
    let mut more = numbered(3000..=3410);
    more.extend(numbered(50_007..=50_007));
    site.send(more).await?;
    site.browser
        .until("document.querySelector('.follow').textContent === '412 new lines, 1 error ↓'")
        .await?;
    let after = site.browser.ask("scrollY").await?;
    ensure!(before == after, "it moved from {before} to {after}");
    site.browser
        .ask("document.querySelector('.follow').click()")
        .await?;
    site.browser.until(&sees(3312)).await?;
    site.browser.close().await
}

#[tokio::test]
async fn a_search_and_the_windows_need_no_script() -> Result<()> {
    let _turn = tests::require!(Browser);
    let mut site = Site::with(numbered(1..=FEW)).await?;
    site.browser.scripts(false).await?;
    site.open("?from=1").await?;
    let shown = "document.querySelectorAll('#log > div').length === 1000";
    site.browser.until(shown).await?;
    for (word, line) in [("Next", 1001), ("Last", FEW), ("First", 1)] {
        let find = format!(
            "[...document.querySelectorAll('.window a')].find(a => a.textContent === '{word}').href"
        );
        let href = site.browser.ask(&find).await?;
        let href = href.as_str().context("a link")?.to_owned();
        site.browser.open(&href).await?;
        let there = format!("document.getElementById('L{line}') !== null");
        site.browser.until(&there).await?;
    }
    let error = "[...document.querySelectorAll('.window a')].find(a => a.textContent === \
                 'Next error').getAttribute('href').endsWith('#L7')";
    site.browser.until(error).await?;
    site.open("?q=LINE+%5Cd*99%20of&re=1").await?;
    let total = "document.querySelector('.found strong').textContent";
    let total = site.browser.ask(total).await?;
    ensure!(total == "200 lines", "{total}");
    site.browser.close().await
}

#[tokio::test]
/// F50, F51
async fn hostile_bytes_are_shown_kept_and_obeyed_by_nobody() -> Result<()> {
    let _turn = tests::require!(Browser);
    let long = b"x".repeat(1 << 20);
    let texts: [&[u8]; 9] = [
        b"<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>",
        b"</div></main></script><h1 id=forged>forged</h1>",
        b"\xff\xfe\x00\xc3( invalid",
        b"\x1b[2J\x1b[10A\x1b]0;title\x07\x1b[31mred",
        b"\x1b]8;;javascript:window.ran=1\x07click\x1b]8;;\x07",
        "admin\u{202e}gpj.exe \u{2066}x".as_bytes(),
        b" 1%\r 2%\r100%",
        &long,
        b"the end",
    ];
    let mut site = Site::with(records(texts)).await?;
    site.open("").await?;
    site.browser.until(&sees(9)).await?;
    let harmless = "window.ran === undefined && !document.getElementById('forged') && \
        !document.querySelector('#log a[href^=\"javascript\" i], #log script, #log img') && \
        document.querySelectorAll('#log section > div').length === 9";
    site.browser.until(harmless).await?;
    let size = site.browser.ask("document.body.innerHTML.length").await?;
    ensure!(size.as_u64() < Some(60_000), "the page has {size} letters");
    let raw = site
        .world
        .api
        .call(reqwest::Method::GET, &format!("{PAGE}/log.txt"));
    let raw = raw.send().await?.bytes().await?;
    ensure!(raw == [&texts.join(&b'\n')[..], b"\n"].concat());
    // What a person selects and copies is what was printed, without numbers.
    site.send(records([&b"first"[..], b"  second"])).await?;
    site.browser.until(&sees(11)).await?;
    let copied = "(() => { const s = getSelection(); \
        s.setBaseAndExtent(document.getElementById('L10'), 0, document.getElementById('L11'), 2); \
        return s.toString().trimEnd() })()";
    let copied = site.browser.ask(copied).await?;
    ensure!(copied == "first\n  second", "{copied}");
    site.browser.close().await
}
