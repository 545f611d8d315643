//! Calls that move whole files. They are streamed from and to the disk, and what counts is that
//! bytes keep coming, not how long it takes: whoever calls decides when to give up.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use pipelines::wire::{ArtifactKind, CacheFound, CacheQuery, LeaseProof};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;
use url::Url;

use super::{ANSWER_TIMEOUT, CallError, Client, JobClient, parse, refusal, words};
use crate::archive::hex;

/// The slowest connection a file is sent over, in bytes a second.
const PACE_MIN: u64 = 100 * 1024;
/// Bytes read from a file at once.
const PIECE_BYTES: usize = 128 * 1024;

/// A cache to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCache {
    /// [`pipelines::plan::Cache::prefix`].
    pub prefix: String,
    /// The hash of the key files, in hex.
    pub key: String,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
}

/// An artifact or report to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it was, relative to the workspace.
    pub path: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
}

impl JobClient {
    /// Looks for a cache: the one of this key, or else the newest of this prefix.
    pub async fn find_cache(
        &self,
        prefix: &str,
        key: &str,
    ) -> Result<Option<CacheFound>, CallError> {
        let query = CacheQuery {
            lease: self.lease,
            prefix: prefix.to_owned(),
            key: key.to_owned(),
        };
        let path = format!("jobs/{}/cache/find", self.job);
        let request = self.client.request(&path, 0).json(&query);
        match Client::answer(request).await? {
            (StatusCode::NO_CONTENT, _) => Ok(None),
            (_, body) => parse(&body).map(Some),
        }
    }

    /// Fetches a cache into a new file at `to`. It has the size and digest that were told.
    pub async fn fetch_cache(&self, found: &CacheFound, to: &Path) -> Result<(), CallError> {
        let url = self.address(&format!("cache/{}", found.id), &[]);
        let request = self.client.http.get(url);
        let request = request.bearer_auth(self.client.token.expose_secret());
        let unreachable = |error: reqwest::Error| CallError::Unreachable(words(&error));
        let mut response = in_time(request.send()).await?.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(status, b""));
        }
        let mut file = File::create(to).await.map_err(|error| unstored(&error))?;
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut bytes = 0;
        while let Some(piece) = in_time(response.chunk()).await?.map_err(unreachable)? {
            bytes += piece.len() as u64;
            if bytes > found.bytes {
                break;
            }
            digest.update(&piece);
            let written = file.write_all(&piece).await;
            written.map_err(|error| unstored(&error))?;
        }
        file.flush().await.map_err(|error| unstored(&error))?;
        if bytes != found.bytes || hex(digest.finish().as_ref()) != found.digest {
            let message = "its bytes are not those that were kept".into();
            let status = status.as_u16();
            return Err(CallError::Refused { status, message });
        }
        Ok(())
    }

    /// Hands over a cache: the file at `from`.
    pub async fn keep_cache(&self, cache: &KeptCache, from: &Path) -> Result<(), CallError> {
        let query = [
            ("prefix", cache.prefix.as_str()),
            ("key", &cache.key),
            ("digest", &cache.digest),
        ];
        self.send(self.address("cache", &query), from).await
    }

    /// Hands over an artifact or report: the file at `from`.
    pub async fn keep_artifact(&self, artifact: &KeptFile, from: &Path) -> Result<(), CallError> {
        let query = [
            ("path", artifact.path.as_str()),
            ("kind", artifact.kind.as_str()),
            ("digest", &artifact.digest),
        ];
        self.send(self.address("artifact", &query), from).await
    }

    /// The address of a call about this job, with the lease and more in its query.
    fn address(&self, call: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.client.base.clone();
        let path = format!("{}runner/v1/jobs/{}/{call}", url.path(), self.job);
        url.set_path(&path);
        let LeaseProof { attempt, fence } = self.lease;
        url.query_pairs_mut()
            .append_pair("attempt", &attempt.to_string())
            .append_pair("fence", &fence.to_string())
            .extend_pairs(query);
        url
    }

    async fn send(&self, url: Url, from: &Path) -> Result<(), CallError> {
        let file = File::open(from).await.map_err(|error| unstored(&error))?;
        let metadata = file.metadata().await.map_err(|error| unstored(&error))?;
        let body = ReaderStream::with_capacity(file, PIECE_BYTES);
        let pace = Duration::from_secs(metadata.len() / PACE_MIN);
        let request = self
            .client
            .http
            .post(url)
            .bearer_auth(self.client.token.expose_secret())
            .timeout(ANSWER_TIMEOUT + pace)
            .header(http::header::CONTENT_TYPE, "application/octet-stream")
            .header(http::header::CONTENT_LENGTH, metadata.len())
            .body(reqwest::Body::wrap_stream(body));
        Client::answer(request).await.map(|_| ())
    }
}

/// An answer, or a part of one, as long as it comes soon.
async fn in_time<T>(part: impl Future<Output = T>) -> Result<T, CallError> {
    let part = tokio::time::timeout(ANSWER_TIMEOUT, part).await;
    part.map_err(|_| CallError::Unreachable("nothing came for a while".into()))
}

/// A disk that is full is no reason to ask again.
fn unstored(error: &std::io::Error) -> CallError {
    CallError::Refused {
        status: 200,
        message: format!("its file on this machine cannot be used: {error}"),
    }
}
