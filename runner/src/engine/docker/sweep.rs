//! What a killed runner left behind.

use std::collections::HashMap;

use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use pipelines::ids::{Attempt, JobId};
use ulid::Ulid;

use super::container::Listed;
use super::{DockerEngine, LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_JOB_ID, failed, gone, patiently};
use crate::engine::{EngineError, Keep};

impl DockerEngine {
    /// Containers first: networks and volumes are held by them.
    pub(super) async fn sweep_leftovers(
        &self,
        instance: Ulid,
        keep: Keep<'_>,
    ) -> Result<usize, EngineError> {
        let filter = vec![format!("{LABEL_INSTANCE}={instance}")];
        let mut removed = 0;
        for container in self.containers(&filter).await? {
            if !is_kept(&container.labels, keep) {
                self.remove_container(&container.id).await?;
                removed += 1;
            }
        }
        let filters = HashMap::from([("label", filter)]);
        for network in self.networks(&filters).await? {
            if !is_kept(&network.labels, keep) {
                let remove = || self.docker.remove_network(&network.id);
                gone(patiently(remove).await).map_err(failed("remove a network"))?;
                removed += 1;
            }
        }
        for volume in self.volumes(&filters).await? {
            if !is_kept(&volume.labels, keep) {
                let remove = || {
                    let force = RemoveVolumeOptionsBuilder::default().force(true).build();
                    self.docker.remove_volume(&volume.id, Some(force))
                };
                gone(patiently(remove).await).map_err(failed("remove a volume"))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn networks(
        &self,
        filters: &HashMap<&str, Vec<String>>,
    ) -> Result<Vec<Listed>, EngineError> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(filters)
            .build();
        let list = || self.docker.list_networks(Some(options.clone()));
        let found = patiently(list).await.map_err(failed("list networks"))?;
        let listed = found.into_iter().filter_map(|network| {
            Some(Listed {
                id: network.id?,
                labels: network.labels.unwrap_or_default(),
            })
        });
        Ok(listed.collect())
    }

    async fn volumes(
        &self,
        filters: &HashMap<&str, Vec<String>>,
    ) -> Result<Vec<Listed>, EngineError> {
        let options = ListVolumesOptionsBuilder::default()
            .filters(filters)
            .build();
        let list = || self.docker.list_volumes(Some(options.clone()));
        let found = patiently(list).await.map_err(failed("list volumes"))?;
        let volumes = found.volumes.unwrap_or_default().into_iter();
        let listed = volumes.map(|volume| Listed {
            id: volume.name,
            labels: volume.labels,
        });
        Ok(listed.collect())
    }
}

/// Whether the labels name a job that this runner is working on.
fn is_kept(labels: &HashMap<String, String>, keep: Keep<'_>) -> bool {
    let number = |label: &str| labels.get(label)?.parse::<i64>().ok();
    let attempt = number(LABEL_ATTEMPT).and_then(|attempt| u32::try_from(attempt).ok());
    match (number(LABEL_JOB_ID), attempt) {
        (Some(job), Some(attempt)) => keep(JobId(job), Attempt(attempt)),
        (None, _) | (_, None) => false,
    }
}
