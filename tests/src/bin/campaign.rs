//! `campaign`: runs every test that shows a fault case, in whole scale, and reports. See
//! `make campaign`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use tests::campaign::{Story, root, stories};

/// Runs the tests that show fault cases and writes `target/campaign.md`.
#[derive(Parser)]
struct Cli {
    /// Only these cases, such as `F14`.
    cases: Vec<String>,
    /// As short as in `make test`.
    #[arg(long)]
    short: bool,
}

/// How a test ended.
struct End {
    story: Story,
    is_passed: bool,
    took: Duration,
    /// The end of what it said, if it failed.
    words: String,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("campaign: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Gives the number of failures.
fn run(cli: &Cli) -> Result<usize> {
    let is_wanted = |story: &Story| {
        let mut names = story.cases.iter().map(|case| format!("F{case}"));
        cli.cases.is_empty() || names.any(|name| cli.cases.contains(&name))
    };
    let mut wanted = stories()?;
    wanted.retain(is_wanted);
    let mut ends = Vec::new();
    for story in wanted {
        let end = play(story, cli.short)?;
        let (word, took) = (word(&end), end.took.as_secs_f64());
        eprintln!("{word:<6} {took:>7.1} s  {}", end.story.name);
        ends.push(end);
    }
    let report = report(&ends)?;
    std::fs::write(root().join("target/campaign.md"), &report)?;
    println!("{report}");
    Ok(ends.iter().filter(|end| !end.is_passed).count())
}

/// One test in a process of its own, so that its time is its own.
fn play(story: Story, is_short: bool) -> Result<End> {
    let mut command = Command::new("cargo");
    // All crates together, as `make test` does it: alone, each would be built with other features.
    command.args(["test", "--quiet", "--locked", "--workspace"]);
    command.args(["--lib", "--bins", "--test", "it", "--", &story.name]);
    // The report has room for causes, not for the way there.
    command.current_dir(root()).env("RUST_BACKTRACE", "0");
    if !is_short {
        command.env("SEAWORTHY_CAMPAIGN", "1");
    }
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = began.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A name that no test has is no proof.
    let has_run = text
        .lines()
        .any(|line| line.starts_with("test result: ok.") && !line.contains(" 0 passed"));
    let is_passed = output.status.success() && has_run;
    let all: Vec<&str> = text.lines().collect();
    let words = all[all.len().saturating_sub(60)..].join("\n");
    Ok(End {
        story,
        is_passed,
        took,
        words: if is_passed { String::new() } else { words },
    })
}

fn word(end: &End) -> &'static str {
    if end.is_passed { "passed" } else { "FAILED" }
}

fn report(ends: &[End]) -> Result<String> {
    let mut cases: BTreeMap<u32, Vec<&End>> = BTreeMap::new();
    for end in ends {
        for case in &end.story.cases {
            cases.entry(*case).or_default().push(end);
        }
    }
    let failed = ends.iter().filter(|end| !end.is_passed).count();
    let seconds: f64 = ends.iter().map(|end| end.took.as_secs_f64()).sum();
    let mut text = format!(
        "# Fault campaign\n\n{} cases by {} tests in {seconds:.0} s: {} passed, {failed} failed.\n\n\
         | case | shown by | result | seconds |\n| --- | --- | --- | ---: |\n",
        cases.len(),
        ends.len(),
        ends.len() - failed,
    );
    for (case, ends) in &cases {
        for end in ends {
            let (file, sentence) = (&end.story.file, end.story.name.replace('_', " "));
            let (word, took) = (word(end), end.took.as_secs_f64());
            writeln!(
                text,
                "| F{case} | {sentence} (`{file}`) | {word} | {took:.1} |"
            )?;
        }
    }
    text.push_str("\n## Not shown, or in part\n\n");
    let page = std::fs::read_to_string(root().join("docs/faults.md"))?;
    for row in page.lines().filter(|line| line.starts_with("| F")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        if let [case, what, _, missing] = cells[..]
            && !missing.is_empty()
        {
            writeln!(text, "- {case}: {what} – {missing}")?;
        }
    }
    for end in ends.iter().filter(|end| !end.is_passed) {
        write!(text, "\n## {}\n\n```\n{}\n```\n", end.story.name, end.words)?;
    }
    Ok(text)
}
