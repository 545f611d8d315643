//! The server that speaks S3, which `dev/s3` starts.

use anyhow::{Context, Result, ensure};

/// How to reach it.
#[derive(Clone, Debug)]
pub struct S3 {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// `s3://BUCKET`, without a prefix.
    pub url: String,
    key: String,
    secret: String,
}

impl S3 {
    /// The one of the tests.
    pub fn of_the_tests() -> Result<Self> {
        let variable =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        Ok(Self {
            endpoint: variable("SEAWORTHY_TEST_S3_ENDPOINT")?,
            url: variable("SEAWORTHY_TEST_S3_URL")?,
            key: variable("SEAWORTHY_TEST_S3_KEY")?,
            secret: variable("SEAWORTHY_TEST_S3_SECRET")?,
        })
    }

    /// Whether it answers: strangers are refused.
    pub async fn ping(&self) -> Result<()> {
        crate::install_tls();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let status = client.get(&self.endpoint).send().await?.status();
        ensure!(status == 403, "it answers {status}");
        Ok(())
    }

    /// The settings of a server that keeps its bytes below this prefix.
    pub fn settings(&self, prefix: &str) -> [(&'static str, String); 4] {
        [
            ("SEAWORTHY_OBJECTS_URL", format!("{}/{prefix}", self.url)),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", self.key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ]
    }
}
