use super::*;

/// What is wrong with a file: a line per problem, with the offending text between bars.
fn problems(text: &str) -> String {
    let Err(problems) = Definition::parse(text) else {
        return "nothing".into();
    };
    problems.iter().map(show).collect::<Vec<_>>().join("\n=> ")
}

fn show(problem: &Problem) -> String {
    let hint = problem.hint.as_deref().map(|hint| format!(" ({hint})"));
    format!(
        "{}:{} |{}| {}{}",
        problem.line,
        problem.column,
        problem.text,
        problem.message,
        hint.unwrap_or_default()
    )
}

/// Files, each with what is wrong with it.
fn report(files: &[&str]) -> String {
    let part = |file: &&str| format!("{}\n=> {}\n", file.trim_end(), problems(file));
    files.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// Bodies of a job, each with what is wrong with it; places count within the body.
fn report_jobs(bodies: &[&str]) -> String {
    let part = |body: &&str| {
        let indented = body.replace('\n', "\n    ");
        let file =
            format!("on: push\njobs:\n  a:\n    {indented}\n  b: {{ image: x, steps: [y] }}\n");
        let Err(problems) = Definition::parse(&file) else {
            return format!("{body}\n=> nothing\n");
        };
        let inside = problems.into_iter().map(|problem| Problem {
            line: problem.line - 3,
            column: problem.column.saturating_sub(4),
            ..problem
        });
        let lines: Vec<_> = inside.map(|problem| show(&problem)).collect();
        format!("{body}\n=> {}\n", lines.join("\n=> "))
    };
    bodies.iter().map(part).collect::<Vec<_>>().join("\n")
}

mod accepted;
mod jobs;
mod limits;
mod never_panics;
mod refusals;
mod shape;
mod templates;
mod values;
mod yaml;
