use proptest::prelude::*;

use super::*;
use crate::import::model::Pairs;
use crate::import::yaml::{Field, Out};

/// The translated file of a workflow's jobs, without its head.
fn jobs(kind: Kind, text: &str) -> String {
    let file = import(kind, text).unwrap().file;
    let (_, jobs) = file.split_once("jobs:\n").unwrap();
    jobs.to_owned()
}

/// The `when` of a job with this condition in a workflow, as it is written.
fn when_of_if(condition: &str) -> String {
    let text = format!(
        "on: {{ push: {{ branches: [main], tags: ['v*'] }}, pull_request: }}\njobs:\n  a:\n    if: >-\n      {condition}\n    container: x\n    steps: [{{ run: y }}]\n"
    );
    let jobs = jobs(Kind::Actions, &text);
    let line = jobs
        .lines()
        .find_map(|line| line.trim().strip_prefix("when: "));
    line.unwrap_or("nothing").to_owned()
}

#[test]
fn conditions_of_actions_become_when() {
    let table = [
        ("always()", "{ status: always }"),
        ("failure()", "{ status: failure }"),
        ("!cancelled()", "{ status: always }"),
        ("${{ github.event_name == 'push' }}", "{ event: push }"),
        (
            "github.event_name != 'pull_request'",
            "{ event: \"!pull_request\" }",
        ),
        (
            "github.ref == 'refs/heads/main'",
            "{ branch: main, event: \"!pull_request\" }",
        ),
        (
            "github.ref == 'refs/heads/main' && github.event_name == 'push'",
            "{ branch: main, event: push }",
        ),
        ("github.ref != 'refs/heads/main'", "{ branch: \"!main\" }"),
        ("startsWith(github.ref, 'refs/tags/v')", "{ tag: v* }"),
        ("github.ref_type == 'tag'", "{ tag: \"**\" }"),
        (
            "github.event_name == 'pull_request' || github.ref == 'refs/heads/main'",
            "{ tag: \"!**\", event: [pull_request, push] }",
        ),
        ("github.repository == 'acme/shop'", "nothing"),
        ("runner.os == 'Linux' && success()", "{ status: success }"),
        (
            "contains(github.event.head_commit.message, 'x')",
            "{ event: manual }",
        ),
        ("github.actor != 'dependabot[bot]'", "{ event: manual }"),
        ("a b c", "{ event: manual }"),
    ];
    let found = table.map(|(condition, _)| (condition, when_of_if(condition)));
    assert_eq!(
        found,
        table.map(|(condition, when)| (condition, when.to_owned()))
    );
}

#[test]
fn globs_become_patterns_or_are_refused() {
    let table = [
        ("main", Some("main")),
        ("**.js", Some("**/*.js")),
        ("docs/", Some("docs/**")),
        ("/src/**", Some("src/**")),
        ("!**/*.md", Some("!**/*.md")),
        ("src/*.{js,ts}", Some("src/*.js src/*.ts")),
        ("v[0-9]+.[0-9]+", Some("v*.* wider")),
        ("v?", Some("v* wider")),
        // To leave out more than was meant would be to test less.
        ("!v?", None),
        ("a**b**c", None),
        ("{a", None),
    ];
    let shown = |text: &str| {
        globs::glob(text).map(|found| {
            let wider = if found.is_wider { " wider" } else { "" };
            format!("{}{wider}", found.patterns.join(" "))
        })
    };
    let found = table.map(|(text, _)| (text, shown(text)));
    assert_eq!(
        found,
        table.map(|(text, found)| (text, found.map(str::to_owned)))
    );
}

#[test]
fn expressions_that_name_branches_become_patterns() {
    let table = [
        ("^main$", Some("main")),
        ("^(main|develop)$", Some("main develop")),
        (r"^release\/.*$", Some("release/**")),
        (r"^v\d+\.\d+$", Some("v*.*")),
        ("^v", Some("v*")),
        ("^.*$", Some("**")),
        ("(a|b)+", None),
        (r"\bx", None),
    ];
    let shown = |text: &str| globs::regex(text).map(|found| found.patterns.join(" "));
    let found = table.map(|(text, _)| (text, shown(text)));
    assert_eq!(
        found,
        table.map(|(text, found)| (text, found.map(str::to_owned)))
    );
}

#[test]
fn a_script_that_only_builds_an_image_becomes_a_build() {
    let table = [
        (
            "docker build -t ghcr.io/a/b:latest . && docker push ghcr.io/a/b:latest",
            "ghcr.io/a/b . [latest]",
        ),
        (
            "docker buildx build --push --tag=a/b:1 -f x/Dockerfile x",
            "a/b x [1]",
        ),
        (
            "/kaniko/executor --context /workspace/x --destination a/b:$CI_COMMIT_TAG",
            "a/b x [${{ tag }}]",
        ),
        ("docker build -t a . && ./sign.sh", "nothing"),
        ("docker build .", "nothing"),
        ("make", "nothing"),
    ];
    let shown = |text: &str| {
        let values = builds::Values {
            table: &woodpecker::VARIABLES,
            own: &Pairs::new(),
            line: 1,
        };
        let lines = [(1, text.to_owned())];
        match builds::of_script(&lines, &values, &mut Notes::default()) {
            Some(build) => {
                let context = build.context.as_deref().unwrap_or(".");
                format!("{} {context} [{}]", build.image, build.tags.join(", "))
            }
            None => "nothing".to_owned(),
        }
    };
    let found = table.map(|(text, _)| (text, shown(text)));
    assert_eq!(found, table.map(|(text, build)| (text, build.to_owned())));
}

#[test]
fn variables_of_theirs_become_ours_in_scripts_and_values() {
    let mut notes = Notes::default();
    let table = &woodpecker::VARIABLES;
    let script =
        "a $CI_COMMIT_SHA ${CI_COMMIT_TAG##v} ${CI_COMMIT_SHA:0:8} \\$CI_REPO $$CI_REPO $X é";
    let found = table.in_script(script, 1, &mut notes);
    let ours =
        "a $SEAWORTHY_COMMIT ${SEAWORTHY_TAG##v} $SEAWORTHY_SHORT_COMMIT \\$CI_REPO $$CI_REPO $X é";
    let own = vec![("X".to_owned(), "y".to_owned())];
    let value = table.in_value(
        "$X-${CI_COMMIT_SHA:0:7}-$CI_COMMIT_BRANCH",
        &own,
        1,
        &mut notes,
    );
    assert_eq!(
        (found.as_str(), value.as_str()),
        (ours, "y-${{ short_commit }}-${{ branch }}")
    );
}

#[test]
fn a_script_stops_where_a_value_has_no_translation() {
    let text = "on: push\njobs:\n  a:\n    container: x\n    steps:\n      - run: rm -r '${{ github.x }}'\n";
    let jenkins = "pipeline { agent { docker 'x' }\nstages { stage('a') { steps { sh \"rm -r '${f()}' ${env.X}\" } } } }";
    let found = [jobs(Kind::Actions, text), jobs(Kind::Jenkins, jenkins)];
    let last = found.map(|jobs| jobs.lines().last().map(|line| line.trim().to_owned()));
    let wanted = [
        "- rm -r \"${BY_HAND:?github.x}\"",
        "run: rm -r ''\"${BY_HAND:?f()}\"'' ${X}",
    ];
    assert_eq!(last, wanted.map(|line| Some(line.to_owned())));
}

#[test]
fn names_that_others_allow_become_names_that_we_allow() {
    let found = [
        names::job("Build & Test (linux)"),
        names::job("__"),
        names::axis("3.x"),
        names::secret("NPM-Token"),
        names::variable("node-version"),
        names::service("my_db"),
        names::step("Test ${{ matrix.x }} (${{ matrix.y }})").unwrap_or_default(),
    ];
    let ours = [
        "build-test-linux",
        "job",
        "v3-x",
        "npm_token",
        "NODE_VERSION",
        "my-db",
        "Test",
    ];
    assert_eq!(found, ours.map(str::to_owned));
}

#[test]
fn merge_keys_tags_and_doubled_keys_are_read_as_their_owners_do() {
    let text = "x: &x { a: 1, b: 2 }\ny: { <<: *x, b: 3 }\nz: !reference [x, a]\ny2: 1\ny2: 2\n";
    let root = source::read(text).unwrap();
    let y = root.find("y").unwrap();
    let found = (y.text_of("a"), y.text_of("b"), root.text_of("y2"));
    let tag = root.find("z").and_then(|node| node.tag.as_deref());
    assert_eq!(
        (found, tag),
        ((Some("1"), Some("3"), Some("2")), Some("reference"))
    );
}

#[test]
fn bombs_of_aliases_and_depth_are_refused() {
    let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for letter in 'b'..='i' {
        let before = char::from(letter as u8 - 1);
        let list = vec![format!("*{before}"); 10].join(", ");
        aliases.push_str(&format!("{letter}: &{letter} [{list}]\n"));
    }
    let deep = format!("a: {}{}", "[".repeat(500), "]".repeat(500));
    let blocks = format!("pipeline {{{}", "a {".repeat(500));
    let refused = [
        import(Kind::Gitlab, &aliases).is_err(),
        import(Kind::Actions, &deep).is_err(),
        import(Kind::Jenkins, &blocks).is_err(),
    ];
    assert_eq!(refused, [true; 3]);
}

#[test]
fn what_is_nothing_of_the_kind_is_refused_with_the_reason() {
    let texts = [
        (Kind::Travis, "- a\n- b\n"),
        (Kind::Actions, "on: push\n"),
        (Kind::Woodpecker, "steps: []\n"),
        (Kind::Gitlab, "stages: [a]\n"),
        (Kind::Jenkins, "node { sh 'make' }\n"),
        (Kind::Jenkins, "pipeline {\n"),
        (Kind::Gitlab, "a: [\n"),
        (Kind::Gitlab, ""),
    ];
    let refused = texts.map(|(kind, text)| import(kind, text).map(|found| found.file).is_err());
    assert_eq!(refused, [true; 8]);
}

#[test]
fn kinds_are_guessed_by_their_paths() {
    let paths = [
        ".travis.yml",
        "x/.woodpecker/test.yaml",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "ci/Jenkinsfile.release",
        "README.md",
    ];
    let found = paths.map(|path| Kind::guess(path, "").map(Kind::as_str));
    let kinds = ["travis", "woodpecker", "actions", "gitlab", "jenkins"];
    let mut wanted: Vec<Option<&str>> = kinds.map(Some).to_vec();
    wanted.push(None);
    assert_eq!(found.to_vec(), wanted);
}

#[test]
fn a_pipeline_is_called_as_the_file_it_comes_from() {
    let table = [
        (Kind::Travis, ".travis.yml", "travis"),
        (Kind::Woodpecker, ".woodpecker.yml", "woodpecker"),
        (
            Kind::Woodpecker,
            "x/.woodpecker/Release Notes.yaml",
            "release-notes",
        ),
        (Kind::Actions, ".github/workflows/ci.yml", "ci"),
        (Kind::Actions, "environments.yml", "environments-pipeline"),
        (Kind::Gitlab, ".gitlab-ci.yml", "gitlab"),
        (Kind::Jenkins, "ci/Jenkinsfile", "jenkins"),
        (Kind::Jenkins, "ci/nightly.jenkinsfile", "nightly"),
    ];
    let found = table.map(|(kind, path, _)| kind.pipeline_name(path));
    assert_eq!(found, table.map(|(_, _, name)| name.to_owned()));
}

#[test]
fn a_need_that_may_be_skipped_is_replaced_by_what_it_waited_for() {
    let text = "stages: [a, b, c]\nx: { stage: a, script: x }\ny: { stage: b, script: y, only: [tags] }\nz: { stage: c, script: z }\n";
    let jobs = jobs(Kind::Gitlab, text);
    let (_, last) = jobs.split_once("  z:\n").unwrap();
    assert_eq!(last.lines().next(), Some("    needs: [x]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a value holds, our own reader finds the same in what is written.
    #[test]
    fn what_is_written_is_read_again(texts in prop::collection::vec("(?s).{0,40}|[-:#{}\\[\\],&*!|>'\"%@` \n\ta$~]{0,12}", 1..4)) {
        // A NUL is no text of any YAML.
        let texts: Vec<String> = texts.iter().map(|text| text.replace('\0', "")).collect();
        let field = |value| Field { above: vec![], key: "k".into(), value: Some(value), apart: false };
        let pairs: Vec<(String, String)> =
            texts.iter().enumerate().map(|(at, text)| (format!("a{at}"), text.clone())).collect();
        for value in [Out::texts(&texts), Out::pairs(&pairs)] {
            let file = yaml::write(&[], &[field(value)]);
            let root = source::read(&file).unwrap();
            prop_assert_eq!(scalars(&root), texts.clone(), "{}", file);
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "(?s).{0,200}|[a-z:{}()\\[\\]'\"$ \n#&*<-]{0,200}") {
        for kind in Kind::ALL {
            let _ = import(kind, &text);
            let _ = import(kind, &format!("pipeline {{ stages {{ stage('a') {{ steps {{ {text} }} }} }} }}"));
        }
    }
}

/// The texts of a tree, in order.
fn scalars(node: &source::Node) -> Vec<String> {
    match &node.kind {
        source::Kind::Nothing => vec!["nothing".to_owned()],
        source::Kind::Text(text) => vec![text.clone()],
        source::Kind::List(items) => items.iter().flat_map(scalars).collect(),
        source::Kind::Map(entries) => {
            let values = entries.iter().map(|entry| &entry.value);
            values.flat_map(scalars).collect()
        }
    }
}
