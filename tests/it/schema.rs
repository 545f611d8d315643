//! The published schemas and the reference are those of the code, and whatever the code accepts fits
//! them, says a validator that knows nothing of us.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use pipelines::schema;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Compares a document with what it must be; rewrites it first if `SEAWORTHY_REWRITE` is set.
#[track_caller]
fn compare(name: &str, wanted: &str) {
    let path = root().join(name);
    if std::env::var_os("SEAWORTHY_REWRITE").is_some() {
        std::fs::write(&path, wanted).expect("the file can be written");
    }
    assert!(
        read(&path) == wanted,
        "{name} is behind the code: run this test with SEAWORTHY_REWRITE=1"
    );
}

fn pretty(schema: &Value) -> String {
    format!(
        "{}\n",
        serde_json::to_string_pretty(schema).expect("a schema is JSON")
    )
}

#[test]
fn the_schema_of_pipelines_in_the_documents_is_that_of_the_code() {
    compare("docs/schema/pipeline.json", &pretty(&schema::pipeline()));
}

#[test]
fn the_schema_of_environments_in_the_documents_is_that_of_the_code() {
    let schema = schema::environments();
    compare("docs/schema/environments.json", &pretty(&schema));
}

#[test]
fn the_reference_in_the_documents_is_that_of_the_code() {
    compare("docs/pipeline-reference.md", &schema::reference());
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).expect("our schema is one")
}

/// What an editor would underline in a file.
fn complaints(validator: &Validator, yaml: &str) -> Vec<String> {
    let value: Value = match serde_saphyr::from_str(yaml) {
        Ok(value) => value,
        Err(error) => return vec![error.to_string()],
    };
    let errors = validator.iter_errors(&value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// The files of a folder, with their names.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yml"));
    yaml.map(|path| (path.display().to_string(), read(&path)))
        .collect()
}

/// The pipeline files in the YAML blocks of a document.
fn blocks(name: &str) -> Vec<(String, String)> {
    let text = read(&root().join(name));
    let blocks = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let pipelines = blocks.filter(|block| block.contains("\njobs:"));
    pipelines
        .map(|block| (name.to_owned(), block.to_owned()))
        .collect()
}

#[test]
fn every_accepted_pipeline_fits_the_schema() {
    let mut all = files("pipelines/examples");
    all.extend(files("pipelines/src/definition/tests"));
    all.extend(blocks("docs/pipeline-file.md"));
    all.extend(blocks("README.md"));
    all.retain(|(name, _)| !name.ends_with("environments.yml"));
    let validator = validator(&schema::pipeline());
    let refused: Vec<_> = all
        .iter()
        .map(|(name, text)| (name, complaints(&validator, text)))
        .filter(|(_, complaints)| !complaints.is_empty())
        .collect();
    assert!(all.len() >= 17 && refused.is_empty(), "{refused:#?}");
}

#[test]
fn the_example_of_environments_fits_the_schema() {
    let text = read(&root().join("pipelines/examples/environments.yml"));
    let complaints = complaints(&validator(&schema::environments()), &text);
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn what_is_misspelt_or_of_the_wrong_kind_does_not_fit_the_schema() {
    let bodies = [
        "image: x, stpes: [y]",
        "image: x, steps: y",
        "image: x, steps: [y], timeout: 10",
        "image: x, steps: [y], needs: [A B]",
        "image: x, steps: [y], retry: 11",
        "image: x, steps: [y], env: { A-B: c }",
        "image: x, steps: [y], matrix: { Axis: [z] }",
        "image: x, steps: [y], when: { status: sometimes }",
        "image: x, steps: [{ name: y }]",
        "image: x, steps: [y], build: { image: z }",
        "build: { tags: [z] }",
        "deploy: { manifests: x }",
        "deploy: { environment: x, manifests: y, strategy: { canary: { steps: [100%] } } }",
    ];
    let validator = validator(&schema::pipeline());
    let fits: Vec<_> = bodies
        .iter()
        .map(|body| format!("on: push\njobs: {{ a: {{ {body} }} }}"))
        .filter(|file| complaints(&validator, file).is_empty())
        .collect();
    assert_eq!(fits, Vec::<String>::new());
}
