//! The Docker engine as a story looks at it: what a runner has left there.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};

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
