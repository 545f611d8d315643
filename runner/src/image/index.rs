//! One name for the images of several platforms: an index, made here and given to the registry.
//!
//! The engine builds and pushes one platform at a time and knows no index, so this is the one thing
//! that the runner itself says to a registry.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use bollard::auth::DockerCredentials;
use bollard::models::OciDescriptor;
use pipelines::names::Digest;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::image::registry;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// How long a registry may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer read of a registry, in bytes: tokens and refusals are small.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// An index, as the registry stores it.
pub(super) struct Index {
    media_type: &'static str,
    bytes: Vec<u8>,
    /// What it is known by.
    pub(super) digest: Digest,
}

impl Index {
    /// The index of these images: platform and what the registry says it has for it.
    pub(super) fn of(images: &[(String, OciDescriptor)]) -> anyhow::Result<Self> {
        let mut manifests = Vec::new();
        let mut oci = true;
        for (platform, found) in images {
            let mut parts = platform.splitn(3, '/');
            let (os, architecture) = (parts.next(), parts.next());
            let mut shown = serde_json::json!({ "architecture": architecture, "os": os });
            if let Some(variant) = parts.next() {
                shown["variant"] = variant.into();
            }
            let media_type = found.media_type.as_deref();
            oci &= media_type == Some(OCI_MANIFEST);
            manifests.push(serde_json::json!({
                "mediaType": media_type.context("the registry does not say of what kind an image is")?,
                "size": found.size.context("the registry does not say how large an image is")?,
                "digest": found.digest.as_deref().context("the registry names no digest")?,
                "platform": shown,
            }));
        }
        let media_type = if oci { OCI_INDEX } else { DOCKER_LIST };
        let bytes = serde_json::to_vec_pretty(&serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": manifests,
        }))?;
        let hash = digest(&SHA256, &bytes);
        let hex: String = hash
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            media_type,
            bytes,
            digest: format!("sha256:{hex}").parse()?,
        })
    }
}

/// A repository of a registry, as this runner reaches it.
pub(super) struct Registry {
    http: reqwest::Client,
    base: Url,
    path: String,
    credentials: Option<DockerCredentials>,
}

/// A token, as registries give it: by one name or the other.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// The repository `repository`; `plain`: its registry speaks HTTP without TLS.
    pub(super) fn new(
        repository: &str,
        plain: bool,
        credentials: Option<DockerCredentials>,
    ) -> anyhow::Result<Self> {
        let host = registry::host(repository);
        let path = repository.strip_prefix(host).unwrap_or(repository);
        let path = path.trim_start_matches('/');
        let (host, path) = match (host, path.contains('/')) {
            (registry::HUB, true) => ("registry-1.docker.io", path.to_owned()),
            (registry::HUB, false) => ("registry-1.docker.io", format!("library/{path}")),
            (host, _) => (host, path.to_owned()),
        };
        let scheme = if plain { "http" } else { "https" };
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // A redirect would carry the login to another place.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("seaworthy-runner/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            base: format!("{scheme}://{host}/").parse()?,
            path,
            credentials,
        })
    }

    /// Stores the index under a tag.
    pub(super) async fn put(&self, tag: &str, index: &Index) -> anyhow::Result<()> {
        let url = self
            .base
            .join(&format!("v2/{}/manifests/{tag}", self.path))?;
        let put = || {
            self.http
                .put(url.clone())
                .header(CONTENT_TYPE, index.media_type)
                .body(index.bytes.clone())
        };
        let mut response = put().send().await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let request = self.authorize(put(), &response).await?;
            response = request.send().await?;
        }
        let status = response.status();
        if !status.is_success() {
            let said = read(response).await?;
            let said = String::from_utf8_lossy(&said);
            bail!("it answers with {status}: {}", said.trim());
        }
        Ok(())
    }

    /// Adds what the registry has asked for in its refusal.
    async fn authorize(
        &self,
        request: RequestBuilder,
        refusal: &Response,
    ) -> anyhow::Result<RequestBuilder> {
        let asked = refusal.headers().get(WWW_AUTHENTICATE);
        let asked = asked.and_then(|asked| asked.to_str().ok());
        let asked = asked.context("unauthorized, and it does not say how to log in")?;
        if let Some(challenge) = after_scheme(asked, "bearer") {
            let token = self.token(challenge).await?;
            return Ok(request.header(AUTHORIZATION, format!("Bearer {token}")));
        }
        ensure!(
            after_scheme(asked, "basic").is_some(),
            "unauthorized, and it wants a login of a kind that is not known here"
        );
        Ok(self.log_in(request))
    }

    fn log_in(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Some(DockerCredentials {
                username: Some(username),
                password,
                ..
            }) => request.basic_auth(username, password.as_ref()),
            Some(_) | None => request,
        }
    }

    async fn token(&self, challenge: &str) -> anyhow::Result<String> {
        let find = |name: &str| parameter(challenge, name);
        let realm: Url = find("realm")
            .context("it names no place for tokens")?
            .parse()?;
        ensure!(
            realm.scheme() == "https" || self.base.scheme() == "http",
            "it gives tokens over a connection without TLS"
        );
        let service = find("service").unwrap_or_default();
        let scope = format!("repository:{}:pull,push", self.path);
        let identity = self.credentials.as_ref();
        let request = match identity.and_then(|found| found.identitytoken.as_deref()) {
            Some(token) => {
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("refresh_token", token)
                    .append_pair("client_id", "seaworthy")
                    .append_pair("service", &service)
                    .append_pair("scope", &scope)
                    .finish();
                let request = self.http.post(realm);
                let kind = "application/x-www-form-urlencoded";
                request.header(CONTENT_TYPE, kind).body(form)
            }
            None => {
                let mut realm = realm;
                realm
                    .query_pairs_mut()
                    .append_pair("service", &service)
                    .append_pair("scope", &scope);
                self.log_in(self.http.get(realm))
            }
        };
        let response = request.send().await?;
        let status = response.status();
        ensure!(status.is_success(), "no token is given: {status}");
        let token: Token = serde_json::from_slice(&read(response).await?)
            .map_err(|_| anyhow::anyhow!("its token is not understood"))?;
        let token = token.token.or(token.access_token);
        token.context("its token is empty")
    }
}

async fn read(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(
            body.len() + chunk.len() <= ANSWER_BYTES_MAX,
            "its answer is too large"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn after_scheme<'a>(asked: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = asked.split_once(' ').unwrap_or((asked, ""));
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The value of `name` in `realm="…",service="…"`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some((found, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if found.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests;
