//! The files of a job, in and out. A volume can only be reached through a container: the carrier,
//! which is made when the workspace is filled, is never started, and goes with the job.

use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::{StreamExt as _, stream};

use super::{DockerEngine, failed};
use crate::engine::{EngineError, Files, JobKey};

/// What a job's carrier is called.
pub(super) fn carrier(job: &JobKey) -> String {
    format!("{}-files", job.resource())
}

impl DockerEngine {
    pub(super) async fn upload(
        &self,
        job: &JobKey,
        path: &str,
        files: Files,
    ) -> Result<(), DockerError> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(path)
            .build();
        let body = bollard::body_try_stream(files);
        self.docker()
            .upload_to_container(&carrier(job), Some(options), body)
            .await
    }

    pub(super) async fn download(
        &self,
        job: &JobKey,
        path: &str,
    ) -> Result<Option<Files>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let docker = self.docker();
        let mut pieces = Box::pin(docker.download_from_container(&carrier(job), Some(options)));
        // Whether anything is there shows only with the first piece.
        let first = match pieces.next().await {
            None => return Ok(None),
            Some(Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            })) => return Ok(None),
            Some(first) => first.map_err(failed("read the files of the job"))?,
        };
        let rest = pieces.map(|piece| piece.map_err(std::io::Error::other));
        let first = stream::iter([Ok(first)]);
        Ok(Some(Box::pin(first.chain(rest))))
    }
}
