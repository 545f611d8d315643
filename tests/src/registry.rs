//! The registry of the tests: what was pushed there, under which digest.

use anyhow::{Context, Result, bail};

/// A registry over plain HTTP.
#[derive(Debug)]
pub struct Registry {
    address: String,
    client: reqwest::Client,
}

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

impl Registry {
    /// The one at `SEAWORTHY_TEST_REGISTRY`.
    pub fn of_the_tests() -> Result<Self> {
        let address = std::env::var("SEAWORTHY_TEST_REGISTRY")
            .context("SEAWORTHY_TEST_REGISTRY is not set")?;
        crate::install_tls();
        Ok(Self {
            address,
            client: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// `127.0.0.1:5050`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks whether it is there.
    pub async fn ping(&self) -> Result<()> {
        self.client
            .get(format!("http://{}/v2/", self.address))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// The digest of a tag or digest of an image; none if the registry lacks it.
    pub async fn digest(&self, repository: &str, reference: &str) -> Result<Option<String>> {
        let path = repository.strip_prefix(&self.address).unwrap_or(repository);
        let path = path.trim_start_matches('/');
        let url = format!("http://{}/v2/{path}/manifests/{reference}", self.address);
        let answer = self
            .client
            .head(url)
            .header(reqwest::header::ACCEPT, MANIFESTS)
            .send()
            .await?;
        match answer.status().as_u16() {
            200 => {
                let digest = answer.headers().get("docker-content-digest");
                let digest = digest.context("the registry names no digest")?;
                Ok(Some(digest.to_str()?.to_owned()))
            }
            404 => Ok(None),
            status => bail!("the registry answers {status} for {path}:{reference}"),
        }
    }
}
