//! The Docker engine as a story looks at it: what a runner has left there.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    RemoveVolumeOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt as _;

/// What runners put on everything they make there.
const LABEL_REPOSITORY: &str = "seaworthy.dev/repository";

/// The engine at `DOCKER_HOST`.
#[derive(Debug)]
pub struct Docker {
    client: bollard::Docker,
}

impl Docker {
    /// Without a call yet.
    pub fn connect() -> Result<Self> {
        std::env::var("DOCKER_HOST").context("DOCKER_HOST is not set")?;
        Ok(Self {
            client: bollard::Docker::connect_with_defaults()?,
        })
    }

    /// Asks whether it is there.
    pub async fn ping(&self) -> Result<()> {
        self.client
            .ping()
            .await
            .context("the Docker engine does not answer")?;
        Ok(())
    }

    /// Makes the image `name` of what `script` leaves in a container of `base`; by itself it runs
    /// `command`.
    pub async fn make_image(
        &self,
        name: &str,
        base: &str,
        (script, command): (&str, &str),
    ) -> Result<()> {
        let shell = |text: &str| Some(["sh", "-ec", text].map(str::to_owned).into());
        let body = ContainerCreateBody {
            image: Some(base.to_owned()),
            cmd: shell(script),
            ..Default::default()
        };
        let made = self.client.create_container(None, body).await?.id;
        let start = None::<StartContainerOptions>;
        self.client.start_container(&made, start).await?;
        let ends = self
            .client
            .wait_container(&made, None::<WaitContainerOptions>);
        let end = Box::pin(ends).next().await.context("a container ends")?;
        ensure!(end?.status_code == 0, "the script of {name} failed");
        let options = CommitContainerOptionsBuilder::new()
            .container(&made)
            .repo(name);
        let config = ContainerConfig {
            cmd: shell(command),
            ..Default::default()
        };
        self.client
            .commit_container(options.build(), config)
            .await?;
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        self.client.remove_container(&made, Some(force)).await?;
        Ok(())
    }

    /// Removes an image.
    pub async fn remove_image(&self, name: &str) -> Result<()> {
        let force = RemoveImageOptionsBuilder::new().force(true).build();
        self.client.remove_image(name, Some(force), None).await?;
        Ok(())
    }

    /// Containers, networks and volumes that carry the label (`key=value`), as `kind name`.
    async fn objects(&self, label: &str) -> Result<Vec<String>> {
        let mut found = self.containers(label, true).await?;
        let filters = filters(label);
        let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
        for network in self.client.list_networks(Some(networks)).await? {
            found.push(format!("network {}", network.name.unwrap_or_default()));
        }
        let volumes = ListVolumesOptionsBuilder::new().filters(&filters).build();
        for volume in self
            .client
            .list_volumes(Some(volumes))
            .await?
            .volumes
            .unwrap_or_default()
        {
            found.push(format!("volume {}", volume.name));
        }
        Ok(found)
    }

    /// Removes what the jobs of a repository have left.
    pub async fn remove_of(&self, repository: &str) -> Result<()> {
        let label = format!("{LABEL_REPOSITORY}={repository}");
        for object in self.objects(&label).await? {
            let removed = match object.split_once(' ') {
                Some(("container", name)) => {
                    let force = RemoveContainerOptionsBuilder::new()
                        .force(true)
                        .v(true)
                        .build();
                    self.client.remove_container(name, Some(force)).await
                }
                Some(("network", name)) => self.client.remove_network(name).await,
                Some(("volume", name)) => {
                    self.client
                        .remove_volume(name, None::<RemoveVolumeOptions>)
                        .await
                }
                _ => Ok(()),
            };
            removed.with_context(|| format!("cannot remove {object}"))?;
        }
        Ok(())
    }

    /// What the jobs of a repository have on the engine now.
    pub async fn objects_of(&self, repository: &str) -> Result<Vec<String>> {
        self.objects(&format!("{LABEL_REPOSITORY}={repository}"))
            .await
    }

    /// The containers of a repository's jobs that run now.
    pub async fn running_of(&self, repository: &str) -> Result<Vec<String>> {
        self.containers(&format!("{LABEL_REPOSITORY}={repository}"), false)
            .await
    }

    async fn containers(&self, label: &str, ended_too: bool) -> Result<Vec<String>> {
        let options = ListContainersOptionsBuilder::new()
            .all(ended_too)
            .filters(&filters(label))
            .build();
        let containers = self.client.list_containers(Some(options)).await?;
        let ids = containers.into_iter().map(|one| one.id.unwrap_or_default());
        Ok(ids.map(|id| format!("container {id}")).collect())
    }
}

fn filters(label: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![label.to_owned()])])
}
