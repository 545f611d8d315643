//! From the configuration to a store, and the look at it before the server starts.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::{Blobs, Kind, remove_unfinished};
use crate::config::{BucketConfig, Cloud, ObjectsConfig};

/// The store must answer a first question within this time, or the server starts without.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(20);
/// The object that says whose place this is.
const MARK: &str = "seaworthy-installation";

/// Why the store was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be set up.
    #[error("SEAWORTHY_OBJECTS_URL: cannot use {place}: {source}; {HINT}")]
    Unusable {
        /// Which place.
        place: String,
        /// What the library says.
        source: Error,
    },
    /// The folder cannot be made or read.
    #[error(
        "SEAWORTHY_OBJECTS_URL: cannot use {place}: {source}; name a folder that this user may write"
    )]
    Folder {
        /// Which folder.
        place: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another installation keeps its bytes there.
    #[error(
        "SEAWORTHY_OBJECTS_URL: {place} belongs to another installation, whose bytes this one would \
         take for left-overs; choose another prefix, or remove its object `{MARK}` if that \
         installation is gone"
    )]
    Taken {
        /// Which place.
        place: String,
    },
}

const HINT: &str =
    "look at the bucket's name, and at the credentials and the region in the environment";

fn place(config: &ObjectsConfig) -> String {
    match config {
        ObjectsConfig::Folder(folder) => folder.display().to_string(),
        ObjectsConfig::Bucket(bucket) => bucket.url.to_string(),
    }
}

pub(super) fn open(
    config: &ObjectsConfig,
) -> Result<(Arc<dyn ObjectStore>, ObjectPath), OpenError> {
    let unusable = |source| OpenError::Unusable {
        place: place(config),
        source,
    };
    match config {
        ObjectsConfig::Folder(folder) => {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
                place: place(config),
                source,
            })?;
            let files = LocalFileSystem::new_with_prefix(folder).map_err(unusable)?;
            Ok((Arc::new(files.with_fsync(true)), ObjectPath::default()))
        }
        ObjectsConfig::Bucket(bucket) => {
            let base = ObjectPath::from_url_path(bucket.url.path());
            let base = base.map_err(|error| unusable(error.into()))?;
            Ok((self::bucket(bucket).map_err(unusable)?, base))
        }
    }
}

/// A client of the bucket. What it waits for is bounded where it is asked: one limit for whole calls
/// would cut off large objects.
fn bucket(bucket: &BucketConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_secs(30));
    let retry = RetryConfig {
        max_retries: 5,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    };
    let options = || {
        let pairs = bucket.options.iter();
        pairs.map(|(name, value)| (name, value.expose_secret()))
    };
    // A variable that the library does not know is for another tool.
    Ok(match bucket.cloud {
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::new()
                .with_url(bucket.url.as_str())
                .with_client_options(client)
                .with_retry(retry);
            for (name, value) in options() {
                if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.build()?)
        }
        Cloud::Google => {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_url(bucket.url.as_str())
                .with_client_options(client)
                .with_retry(retry);
            for (name, value) in options() {
                if let Ok(key) = name.parse::<GoogleConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.build()?)
        }
        Cloud::Azure => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_url(bucket.url.as_str())
                .with_client_options(client)
                .with_retry(retry);
            for (name, value) in options() {
                if let Ok(key) = name.parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.build()?)
        }
    })
}

impl Blobs {
    /// Looks whether the store can be used by this installation, before anything else is done with
    /// it. One that cannot be reached now is only warned of: the rest of the server can do without.
    pub(crate) async fn prepare(
        &self,
        config: &ObjectsConfig,
        installation: &str,
    ) -> Result<(), OpenError> {
        let place = place(config);
        if let Some(folder) = &self.folder {
            for kind in [Kind::Cache, Kind::Artifact] {
                let removed = remove_unfinished(&folder.join(kind.folder()));
                removed.map_err(|source| OpenError::Folder {
                    place: place.clone(),
                    source,
                })?;
            }
        }
        let looked = timeout(FIRST_ANSWER_MAX, self.claim(installation)).await;
        match looked {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(OpenError::Taken { place }),
            Ok(Err(error)) if is_away(&error) => {
                tracing::warn!(place, %error, "the object store cannot be reached: no cache or artifact for now");
                Ok(())
            }
            Ok(Err(source)) => Err(OpenError::Unusable { place, source }),
            Err(_) => {
                tracing::warn!(
                    place,
                    "the object store does not answer: no cache or artifact for now"
                );
                Ok(())
            }
        }
    }

    /// Marks the place as this installation's; false if it is another's.
    async fn claim(&self, installation: &str) -> Result<bool, Error> {
        let mark = self.path(MARK);
        match self.store.get(&mark).await {
            Ok(found) => {
                if found.bytes().await? != installation.as_bytes() {
                    return Ok(false);
                }
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        // Written each time, so that a place that can only be read is noticed now.
        self.store
            .put(&mark, installation.to_owned().into())
            .await?;
        Ok(true)
    }
}

/// Whether the network is the cause, so that time may help.
fn is_away(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return matches!(
                http.kind(),
                HttpErrorKind::Connect | HttpErrorKind::Timeout | HttpErrorKind::Interrupted
            );
        }
        cause = error.source();
    }
    false
}
