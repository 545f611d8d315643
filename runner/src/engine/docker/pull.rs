//! Getting an image that is not there yet.

use bollard::errors::Error as DockerError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::{DockerEngine, is_away, patiently, words};
use crate::engine::EngineError;
use crate::image::registry;
use crate::logs::StepLog;

impl DockerEngine {
    /// Pulls `image` unless the engine has it.
    pub(super) async fn ensure_image(&self, image: &str, log: &StepLog) -> Result<(), EngineError> {
        let image = with_tag(image);
        match patiently(|| self.docker.inspect_image(&image)).await {
            Ok(_) => Ok(()),
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => self.pull(&image, log).await,
            Err(error) => Err(pull_error(&image, &error)),
        }
    }

    async fn pull(&self, image: &str, log: &StepLog) -> Result<(), EngineError> {
        log.note(&format!("pulling image {image}")).await;
        let options = CreateImageOptionsBuilder::default()
            .from_image(image)
            .build();
        let host = registry::host(image);
        let credentials = self.credentials.find_for(host, log).await;
        let docker = self.docker();
        let mut progress = Box::pin(docker.create_image(Some(options), None, credentials));
        while let Some(message) = progress.next().await {
            let message = message.map_err(|error| pull_error(image, &error))?;
            // Messages with an id are about one layer, many a second; the others are few.
            if let (None, Some(status)) = (message.id, message.status) {
                log.note(&status).await;
            }
        }
        Ok(())
    }
}

/// An image without a tag means `latest`; asked for without one, the engine would pull every tag.
fn with_tag(image: &str) -> String {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    if name.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

/// Whose fault a failed pull is: an image that does not exist is the pipeline's, all else is ours.
fn pull_error(image: &str, error: &DockerError) -> EngineError {
    let text = words(error);
    let status = match error {
        DockerError::DockerResponseServerError { status_code, .. } => *status_code,
        // Errors inside the stream carry no status, the others are no answers.
        _ => 0,
    };
    if status == 400 || text.contains("invalid reference format") {
        return EngineError::Work(format!("`{image}` is not an image name: {text}"));
    }
    let absent = [
        "manifest unknown",
        "manifest for",
        "not found",
        "repository does not exist",
        "name unknown",
    ];
    let unresolved = ["no such host", "lookup "];
    let is_absent = absent.iter().any(|words| text.contains(words))
        && !unresolved.iter().any(|words| text.contains(words));
    if is_absent && !is_away(error) {
        return EngineError::Work(format!(
            "image {image} does not exist, or needs a `docker login` on the runner ({text})"
        ));
    }
    EngineError::Infrastructure(format!("cannot pull image {image}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tag_is_latest() {
        let cases = [
            ("alpine", "alpine:latest"),
            ("alpine:3", "alpine:3"),
            ("r.example:5000/a/b", "r.example:5000/a/b:latest"),
            ("r.example:5000/a/b:1", "r.example:5000/a/b:1"),
            ("a@sha256:00", "a@sha256:00"),
        ];
        for (given, expected) in cases {
            assert_eq!(with_tag(given), expected);
        }
    }

    /// F30
    #[test]
    fn a_failed_pull_blames_the_right_side() {
        let cases = [
            ("manifest for r/x:1 not found: manifest unknown", true),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                true,
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                false,
            ),
            (
                "Get \"https://nope/v2/\": dial tcp: lookup nope: no such host",
                false,
            ),
            (
                "Get \"https://r/v2/\": unauthorized: authentication required",
                false,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit",
                false,
            ),
        ];
        for (text, work) in cases {
            let error = DockerError::DockerStreamError { error: text.into() };
            let found = matches!(pull_error("x", &error), EngineError::Work(_));
            assert_eq!(found, work, "{text}");
        }
    }
}
