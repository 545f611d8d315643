//! What the documents say is what the programs do.

use std::path::Path;

use pipelines::definition::Definition;
use pipelines::environment::Environments;
use server::config::SETTINGS;

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(name)).expect("the document is in the repository")
}

/// The blocks of YAML in a document that are whole pipeline files.
fn pipelines_in(text: &str) -> Vec<&str> {
    let blocks = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("\njobs:")).collect()
}

#[test]
fn every_setting_of_the_server_is_documented_as_it_is() {
    let page = document("docs/configuration.md");
    let missing: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            format!(
                "| `{}` | {} | {} |",
                setting.name, setting.default, setting.meaning
            )
        })
        .filter(|row| !page.contains(row.as_str()))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_pipeline_file_in_the_documents_is_accepted() {
    let texts = ["README.md", "docs/pipeline-file.md"].map(document);
    let files: Vec<_> = texts.iter().flat_map(|text| pipelines_in(text)).collect();
    let refused: Vec<_> = files
        .iter()
        .filter_map(|file| Definition::parse(file).err())
        .collect();
    assert_eq!((files.len(), refused), (2, Vec::new()));
}

#[test]
fn the_environments_in_the_documents_are_accepted() {
    let page = document("docs/pipeline-file.md");
    let (_, rest) = page
        .split_once("# .seaworthy/environments.yml\n")
        .expect("they are there");
    let text = rest.split("```").next().unwrap_or_default();
    let names: Vec<_> = Environments::parse(text)
        .map(|found| found.iter().map(|one| one.name.to_string()).collect())
        .unwrap_or_default();
    assert_eq!(names, ["staging", "production"]);
}

#[test]
fn every_fault_case_says_what_shows_it_or_what_does_not() {
    let stories = tests::campaign::stories().expect("the sources are there");
    let page = document("docs/faults.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| F"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let shows = |file: &str| {
            let mut all = stories
                .iter()
                .filter(|story| file == format!("`{}`", story.file));
            all.any(|story| story.cases.iter().any(|case| row[0] == format!("F{case}")))
        };
        let files = row[2].split(", ").filter(|file| !file.is_empty());
        let named: Vec<_> = files.collect();
        wrong.extend(
            named
                .iter()
                .filter(|file| !shows(file))
                .map(|file| format!("{}: no test in {file} says that it shows it", row[0])),
        );
        if named.is_empty() && row[3].is_empty() {
            wrong.push(format!("{}: neither shown nor said why not", row[0]));
        }
    }
    for (story, case) in stories
        .iter()
        .flat_map(|one| one.cases.iter().map(move |case| (one, case)))
    {
        if !rows.iter().any(|row| row[0] == format!("F{case}")) {
            wrong.push(format!("F{case} of {} is not described", story.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
