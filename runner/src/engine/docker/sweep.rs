//! What a killed runner left behind.

use std::collections::{HashMap, HashSet};

use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use pipelines::ids::{Attempt, JobId};
use ulid::Ulid;

use super::{DockerEngine, LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_JOB_ID, failed, gone, patiently};
use crate::engine::EngineError;

impl DockerEngine {
    /// Containers first: networks and volumes are held by them.
    pub(super) async fn sweep_leftovers(
        &self,
        instance: Ulid,
        keep: &HashSet<(JobId, Attempt)>,
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
        for name in self.networks(&filters, keep).await? {
            let remove = || self.docker.remove_network(&name);
            gone(patiently(remove).await).map_err(failed("remove a network"))?;
            removed += 1;
        }
        for name in self.volumes(&filters, keep).await? {
            let remove = || {
                let force = RemoveVolumeOptionsBuilder::default().force(true).build();
                self.docker.remove_volume(&name, Some(force))
            };
            gone(patiently(remove).await).map_err(failed("remove a volume"))?;
            removed += 1;
        }
        Ok(removed)
    }

    async fn networks(
        &self,
        filters: &HashMap<&str, Vec<String>>,
        keep: &HashSet<(JobId, Attempt)>,
    ) -> Result<Vec<String>, EngineError> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(filters)
            .build();
        let list = || self.docker.list_networks(Some(options.clone()));
        let found = patiently(list).await.map_err(failed("list networks"))?;
        let orphans = found
            .into_iter()
            .filter(|network| !is_kept(network.labels.as_ref().unwrap_or(&HashMap::new()), keep))
            .filter_map(|network| network.id);
        Ok(orphans.collect())
    }

    async fn volumes(
        &self,
        filters: &HashMap<&str, Vec<String>>,
        keep: &HashSet<(JobId, Attempt)>,
    ) -> Result<Vec<String>, EngineError> {
        let options = ListVolumesOptionsBuilder::default()
            .filters(filters)
            .build();
        let list = || self.docker.list_volumes(Some(options.clone()));
        let found = patiently(list).await.map_err(failed("list volumes"))?;
        let orphans = found
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter(|volume| !is_kept(&volume.labels, keep))
            .map(|volume| volume.name);
        Ok(orphans.collect())
    }
}

/// Whether the labels name a job that this runner is working on.
fn is_kept(labels: &HashMap<String, String>, keep: &HashSet<(JobId, Attempt)>) -> bool {
    let number = |label: &str| labels.get(label)?.parse::<i64>().ok();
    let attempt = number(LABEL_ATTEMPT).and_then(|attempt| u32::try_from(attempt).ok());
    match (number(LABEL_JOB_ID), attempt) {
        (Some(job), Some(attempt)) => keep.contains(&(JobId(job), Attempt(attempt))),
        (None, _) | (_, None) => false,
    }
}
