//! Pushing an image, and learning by which digest the registry knows it.
//!
//! Every build is pushed under a tag of its own, `run-RUN-NAME-JOB-ATTEMPT`. Registries may delete what
//! no tag names, and a moved tag leaves what it named before without one; what is deployed is
//! pinned by digest and must stay. These tags are never read by anything of ours.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bollard::errors::Error as DockerError;
use bollard::models::OciDescriptor;
use bollard::query_parameters::{
    PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use pipelines::names::{Digest, ImageRepository, PinnedImage};

use crate::engine::docker::{DockerEngine, words};
use crate::engine::{EngineError, JobKey};
use crate::image::index::{Index, Registry};
use crate::image::registry;
use crate::logs::StepLog;

/// The tag under which an attempt pushes. The job's number keeps repositories apart that push to
/// the same image repository.
pub fn attempt_tag(job: &JobKey) -> String {
    format!("run-{}-{}-{}-{}", job.run, job.name, job.job, job.attempt)
}

/// The tag of one platform's image, where an attempt builds several.
pub fn platform_tag(tag: &str, platform: &str) -> String {
    format!("{tag}-{}", platform.replace('/', "-"))
}

/// Who pushes moving tags to which repository. On the engine `REPOSITORY:latest` is one name for
/// all jobs: whoever moved it while another pushes would have that one push a foreign image.
static TAGGING: LazyLock<Mutex<HashMap<String, Arc<Turn>>>> = LazyLock::new(Mutex::default);

type Turn = tokio::sync::Mutex<()>;

fn turn(repository: &str) -> Arc<Turn> {
    let mut turns = TAGGING.lock().unwrap_or_else(PoisonError::into_inner);
    // What nobody holds or waits for is forgotten.
    turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    turns.entry(repository.to_owned()).or_default().clone()
}

/// One repository of a registry, seen through the engine.
pub struct Pusher<'a> {
    /// The engine that has the image.
    pub engine: &'a DockerEngine,
    /// Where it goes.
    pub repository: &'a ImageRepository,
    /// Where progress is told.
    pub log: &'a StepLog,
}

impl Pusher<'_> {
    /// Pushes the image that is tagged `tag`, and proves that the registry has it.
    pub async fn push(&self, tag: &str) -> Result<PinnedImage, EngineError> {
        self.log
            .note(&format!("pushing {}:{tag}", self.repository))
            .await;
        let digest = self.send(tag).await?;
        let image = PinnedImage {
            repository: self.repository.clone(),
            digest,
        };
        self.verify(&image).await?;
        self.log.note(&format!("pushed {image}")).await;
        Ok(image)
    }

    /// Names the image that is tagged `from` also `to`, and pushes that.
    pub async fn push_as(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let options = TagImageOptionsBuilder::default()
            .repo(self.repository.as_str())
            .tag(to)
            .build();
        let image = format!("{}:{from}", self.repository);
        let turn = turn(self.repository.as_str());
        let _mine = turn.lock().await;
        let tagged = self.engine.docker().tag_image(&image, Some(options)).await;
        if let Err(error) = tagged {
            let text = words(&error);
            return Err(EngineError::Work(format!(
                "`{to}` cannot be a tag of the image: {text}"
            )));
        }
        let sent = self.send(to).await;
        self.forget(to).await;
        let digest = sent?;
        self.log
            .note(&format!("tagged {}:{to} as {digest}", self.repository))
            .await;
        Ok(())
    }

    /// Gives the registry an index of images it has, by platform, under a tag and then under those
    /// that move.
    pub async fn push_index(
        &self,
        images: &[(String, PinnedImage)],
        tag: &str,
        moving: &[String],
    ) -> Result<PinnedImage, EngineError> {
        let host = registry::host(self.repository.as_str());
        let failed = |error: anyhow::Error| {
            let text = format!("cannot push an index to {host}: {error:#}");
            EngineError::Infrastructure(text)
        };
        let mut found = Vec::new();
        for (platform, image) in images {
            found.push((platform.clone(), self.describe(image).await?));
        }
        let index = Index::of(&found).map_err(failed)?;
        let credentials = self.engine.credentials().find_for(host, self.log).await;
        let plain = self.is_plain(host).await;
        let registry = Registry::new(self.repository.as_str(), plain, credentials);
        let registry = registry.map_err(failed)?;
        registry.put(tag, &index).await.map_err(failed)?;
        let image = PinnedImage {
            repository: self.repository.clone(),
            digest: index.digest.clone(),
        };
        self.verify(&image).await?;
        self.log
            .note(&format!("pushed {image} for {} platforms", images.len()))
            .await;
        for to in moving {
            registry.put(to, &index).await.map_err(failed)?;
            let note = format!("tagged {}:{to} as {}", self.repository, image.digest);
            self.log.note(&note).await;
        }
        Ok(image)
    }

    /// What the registry says it has for an image.
    async fn describe(&self, image: &PinnedImage) -> Result<OciDescriptor, EngineError> {
        let host = registry::host(self.repository.as_str());
        let credentials = self.engine.credentials().find_for(host, self.log).await;
        let docker = self.engine.docker();
        let name = image.to_string();
        match docker.inspect_registry_image(&name, credentials).await {
            Ok(found) => Ok(found.descriptor),
            Err(error) => Err(EngineError::Infrastructure(format!(
                "the registry {host} does not show {image}, which an index needs: {}",
                words(&error)
            ))),
        }
    }

    /// Whether the engine speaks HTTP without TLS to a registry: then so does this runner.
    async fn is_plain(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let address = name.parse::<std::net::IpAddr>();
        if name == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
            return true;
        }
        let info = self.engine.docker().info().await.ok();
        let known = info
            .and_then(|info| info.registry_config)
            .and_then(|config| config.index_configs)
            .and_then(|configs| configs.get(host).cloned());
        known.is_some_and(|known| known.secure == Some(false))
    }

    /// Removes the engine's own name for an image. Its layers stay in the builder's cache.
    pub async fn forget(&self, tag: &str) {
        let image = format!("{}:{tag}", self.repository);
        let options = RemoveImageOptionsBuilder::default().noprune(false).build();
        let removed = self
            .engine
            .docker()
            .remove_image(&image, Some(options), None)
            .await;
        if let Err(error) = removed {
            tracing::debug!(image, %error, "an image could not be removed");
        }
    }

    async fn send(&self, tag: &str) -> Result<Digest, EngineError> {
        let host = registry::host(self.repository.as_str());
        let credentials = self.engine.credentials().find_for(host, self.log).await;
        let had_credentials = credentials.is_some();
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let docker = self.engine.docker();
        let mut messages =
            Box::pin(docker.push_image(self.repository.as_str(), Some(options), credentials));
        let mut digest = None;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.refused(&error, had_credentials))?;
            digest = message.status.as_deref().and_then(digest_in).or(digest);
        }
        digest.ok_or_else(|| {
            let text = format!("the registry {host} named no digest for what was pushed");
            EngineError::Infrastructure(text)
        })
    }

    /// Asks the registry, by the engine's own way to it, for what it says it has.
    async fn verify(&self, image: &PinnedImage) -> Result<(), EngineError> {
        let host = registry::host(self.repository.as_str());
        let credentials = self.engine.credentials().find_for(host, self.log).await;
        let docker = self.engine.docker();
        match docker
            .inspect_registry_image(&image.to_string(), credentials)
            .await
        {
            Ok(found) if found.descriptor.digest.as_deref() == Some(image.digest.as_str()) => {
                Ok(())
            }
            Ok(found) => Err(EngineError::Infrastructure(format!(
                "the registry {host} has {:?} where {} was pushed",
                found.descriptor.digest, image.digest
            ))),
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => Err(EngineError::Infrastructure(format!(
                "the registry {host} does not have {} although it took it",
                image.digest
            ))),
            // A registry may let somebody push who may not read.
            Err(error) => {
                let text = words(&error);
                let note = format!("the registry was not asked whether it has the image: {text}");
                self.log.note(&note).await;
                Ok(())
            }
        }
    }

    fn refused(&self, error: &DockerError, had_credentials: bool) -> EngineError {
        let text = words(error);
        let host = registry::host(self.repository.as_str());
        let denied = [
            "denied",
            "unauthorized",
            "authentication",
            "no basic auth",
            "forbidden",
            "401",
            "403",
        ];
        if !denied
            .iter()
            .any(|words| text.to_lowercase().contains(words))
        {
            return EngineError::Infrastructure(format!("cannot push to {host}: {text}"));
        }
        let hint = if had_credentials {
            format!(
                "check that the runner's login for {host} may push to {}",
                self.repository
            )
        } else {
            format!("run `docker login {host}` on the runner, or set DOCKER_CONFIG")
        };
        EngineError::Infrastructure(format!(
            "the registry {host} refused the push: {hint} ({text})"
        ))
    }
}

/// `run-1: digest: sha256:… size: 528` is the only place where a push names its digest.
fn digest_in(status: &str) -> Option<Digest> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempts_tag_is_its_own_whatever_the_repository() {
        let mut one = crate::engine::contract_tests::key();
        assert_eq!(attempt_tag(&one), "run-12-test-7-1");
        one.job = pipelines::ids::JobId(8);
        assert_eq!(attempt_tag(&one), "run-12-test-8-1");
    }

    #[tokio::test]
    async fn moving_tags_of_one_repository_wait_for_each_other() {
        let (a, b) = (turn("r.example/turns/a"), turn("r.example/turns/b"));
        let held = a.lock().await;
        assert!(turn("r.example/turns/a").try_lock().is_err());
        assert!(b.try_lock().is_ok());
        drop(held);
        assert!(turn("r.example/turns/a").try_lock().is_ok());
    }

    #[test]
    fn the_digest_is_read_from_the_last_message() {
        let hex = "0".repeat(64);
        let status = format!("run-1-image-1: digest: sha256:{hex} size: 528");
        assert_eq!(digest_in(&status), format!("sha256:{hex}").parse().ok());
        assert_eq!(digest_in("Pushed"), None);
        assert_eq!(digest_in("x: digest: sha256:zz size: 1"), None);
    }
}
