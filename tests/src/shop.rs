//! The sample repository in a world of its own, with namespaces of its own: where most stories about
//! images and rollouts begin.

use anyhow::{Context, Result};

use crate::api::{Deploy, Run};
use crate::cluster::{Cluster, Namespace};
use crate::engines;
use crate::github::Repository;
use crate::registry::Registry;
use crate::runners::Runner;
use crate::sample::Sample;
use crate::world::World;

/// A world in which the shop can be built and rolled out.
pub struct Shop {
    /// The world.
    pub world: World,
    /// The repository at the stand-in; still empty.
    pub repository: Repository,
    /// Its full name.
    pub name: String,
    /// What to commit.
    pub sample: Sample,
    /// Where its images are pushed, without a tag.
    pub image: String,
    /// The namespace of environment `staging`.
    pub staging: Namespace,
    /// The namespace of environment `production`.
    pub production: Namespace,
}

impl Shop {
    /// Makes the world, the repository and both namespaces.
    pub async fn open() -> Result<Self> {
        let world = World::start().await?;
        let cluster = Cluster::connect().await?;
        let id = world.id();
        let staging = cluster.namespace(&format!("shop-staging-{id}")).await?;
        let production = cluster.namespace(&format!("shop-production-{id}")).await?;
        let name = world.name("shop");
        let repository = world.repository(&name).await?;
        let image = format!("{}/{name}", Registry::of_the_tests()?.address());
        // Two pods show everything that three do, and sooner.
        let sample = Sample::new()
            .at(
                &engines::busybox()?,
                &image,
                &staging.name,
                &production.name,
            )
            .replacing("replicas: 3", "replicas: 2");
        Ok(Self {
            world,
            repository,
            name,
            sample,
            image,
            staging,
            production,
        })
    }

    /// A runner that may deploy to both environments.
    pub async fn runner(&self, name: &str) -> Result<Runner> {
        self.world.runner(name, &["staging", "production"]).await
    }

    /// Commits the sample as it is now.
    pub async fn push(&self, message: &str) -> Result<String> {
        Ok(self
            .repository
            .push(self.sample.commit("main", message))
            .await?
            .sha)
    }

    /// Commits the sample with that version and waits for the end of its run.
    pub async fn release(&self, version: &str) -> Result<Run> {
        let files = [(crate::sample::VERSION, &*format!("{version}\n"))];
        let change = self.sample.commit("main", &format!("Serve {version}"));
        let change = files
            .iter()
            .fold(change, |change, (path, text)| change.file(path, *text));
        let sha = self.repository.push(change).await?.sha;
        self.world.run_of(&self.name, &sha).await
    }

    /// The newest deploy to an environment.
    pub async fn last_deploy(&self, environment: &str) -> Result<Deploy> {
        let mut newest = None;
        for number in 1.. {
            let Ok(deploy) = self.world.api.deploy(&self.name, number).await else {
                break;
            };
            if deploy.environment == environment {
                newest = Some(deploy);
            }
        }
        newest.with_context(|| format!("nothing was deployed to {environment}"))
    }

    /// Fails with everything known about a run that did not pass.
    pub fn must_pass(&self, run: &Run) -> Result<()> {
        anyhow::ensure!(
            run.state == "passed",
            "{}\n{}",
            run.summary(),
            self.world.tail()
        );
        Ok(())
    }
}
