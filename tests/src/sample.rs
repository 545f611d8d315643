//! The sample repository: a small web service with everything from test to production. The demo
//! shows it, and stories change a file of it to see one thing go wrong.

use std::collections::BTreeMap;

use crate::github::Change;

const FILES: [(&str, &str); 10] = [
    (".dockerignore", include_str!("sample/.dockerignore")),
    (
        ".seaworthy/environments.yml",
        include_str!("sample/.seaworthy/environments.yml"),
    ),
    (PIPELINE, include_str!("sample/.seaworthy/shop.yml")),
    ("Dockerfile", include_str!("sample/Dockerfile")),
    ("README.md", include_str!("sample/README.md")),
    (
        "deploy/deployment.yaml",
        include_str!("sample/deploy/deployment.yaml"),
    ),
    (
        "deploy/service.yaml",
        include_str!("sample/deploy/service.yaml"),
    ),
    ("serve", include_str!("sample/serve")),
    ("test", include_str!("sample/test")),
    (VERSION, include_str!("sample/www/version.txt")),
];

/// Its pipeline file.
pub const PIPELINE: &str = ".seaworthy/shop.yml";
/// The file that says which version it is; the service answers with it.
pub const VERSION: &str = "www/version.txt";
/// What every answer of the service begins with.
pub const GREETING: &str = "shop ";

/// The sample's files, ready to be committed.
#[derive(Clone, Debug)]
pub struct Sample {
    files: BTreeMap<String, String>,
}

impl Sample {
    /// As it stands in the folder `sample`.
    #[expect(
        clippy::new_without_default,
        reason = "there is nothing default about a sample"
    )]
    pub fn new() -> Self {
        let own = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
        Self {
            files: FILES.map(own).into(),
        }
    }

    /// With the base image, image and namespaces of one installation.
    #[must_use]
    pub fn at(self, busybox: &str, image: &str, staging: &str, production: &str) -> Self {
        self.replacing("127.0.0.1:5050/base/busybox:1", busybox)
            .replacing("127.0.0.1:5050/acme/shop", image)
            .replacing("shop-staging", staging)
            .replacing("shop-production", production)
    }

    /// With every occurrence of a text replaced. It must occur, so that a story never tests nothing.
    #[must_use]
    pub fn replacing(mut self, old: &str, new: &str) -> Self {
        let found = self.files.values().any(|text| text.contains(old));
        assert!(found, "no file of the sample has {old:?} in it");
        self.files
            .values_mut()
            .for_each(|text| *text = text.replace(old, new));
        self
    }

    /// With a file added or replaced.
    #[must_use]
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Path and text of every file.
    pub fn files(&self) -> Vec<(&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect()
    }

    /// A commit with all of it.
    pub fn commit(&self, branch: &str, message: &str) -> Change {
        let change = Change::on(branch).message(message);
        self.files.iter().fold(change, |change, (path, text)| {
            change.file(path, text.as_str())
        })
    }
}
