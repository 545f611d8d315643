//! Registry credentials, from where `docker login` puts them. Each is bound to its host.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use crate::config::RunnerConfig;
use crate::logs::StepLog;

/// The registry of images whose names carry no host.
pub(super) const HUB: &str = "docker.io";
/// What Docker calls that registry in its files, and in what it is told.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// The host of the registry that an image name points to.
pub fn host(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if is_host(first) => first,
        Some(_) | None => HUB,
    }
}

/// Docker's own rule: a path has no capital letters, so a first part with one is a host as well.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase)
}

/// Where credentials come from. They are read anew each time, so that a `docker login` on a running
/// runner counts, and they are not kept.
#[derive(Clone)]
pub struct Credentials {
    folder: Option<PathBuf>,
}

/// The part of Docker's `config.json` that we read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a credential helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Credentials {
    /// Those of this runner.
    pub fn new(config: &RunnerConfig) -> Self {
        Self {
            folder: config.docker_config.clone(),
        }
    }

    /// The credentials for `host`, and for no other. What is broken is logged and counts as none:
    /// the registry then says what it thinks of that.
    pub async fn find(&self, host: &str) -> Option<DockerCredentials> {
        let file = self.read().await?;
        resolve(&file, host).await
    }

    /// The credentials of every registry the runner knows, for the base images of a build, which
    /// only the builder sees the names of.
    pub async fn all(&self) -> HashMap<String, DockerCredentials> {
        let mut found = HashMap::new();
        let Some(file) = self.read().await else {
            return found;
        };
        let hosts = file.auths.keys().chain(file.helpers.keys());
        for host in hosts.map(|key| plain(key)) {
            if let Some(credentials) = resolve(&file, host).await {
                found.insert(key(host).to_owned(), credentials);
            }
        }
        found
    }

    /// As [`Credentials::find`], for a call whose words may reach `log`: what is secret in them is
    /// hidden there from now on.
    pub async fn find_for(&self, host: &str, log: &StepLog) -> Option<DockerCredentials> {
        let found = self.find(host).await;
        found.iter().for_each(|found| hide(found, log));
        found
    }

    /// As [`Credentials::all`], for a build that tells `log`.
    pub async fn all_for(&self, log: &StepLog) -> HashMap<String, DockerCredentials> {
        let found = self.all().await;
        found.values().for_each(|found| hide(found, log));
        found
    }

    async fn read(&self) -> Option<File> {
        let path = self.folder.as_ref()?.join("config.json");
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot read registry credentials");
                return None;
            }
        };
        match serde_json::from_slice(&text) {
            Ok(file) => Some(file),
            Err(error) => {
                // Neither the text nor serde's quotation of it: there are secrets in it.
                let (line, column) = (error.line(), error.column());
                let path = path.display();
                tracing::warn!(line, column, %path, "registry credentials are not understood");
                None
            }
        }
    }
}

fn hide(credentials: &DockerCredentials, log: &StepLog) {
    let DockerCredentials {
        password,
        identitytoken,
        registrytoken,
        ..
    } = credentials;
    for secret in [password, identitytoken, registrytoken]
        .into_iter()
        .flatten()
    {
        log.masks().add(secret);
    }
}

async fn resolve(file: &File, host: &str) -> Option<DockerCredentials> {
    let entry = |map: &BTreeMap<String, String>| {
        let found = map.iter().find(|(key, _)| plain(key) == host);
        found.map(|(_, helper)| helper.clone())
    };
    if let Some(helper) = entry(&file.helpers).or_else(|| file.store.clone()) {
        return match ask(&helper, key(host)).await {
            Ok(answer) => answer.map(|answer| from_answer(host, answer)),
            Err(error) => {
                tracing::warn!(helper, host, error, "a credential helper failed");
                None
            }
        };
    }
    let (_, auth) = file.auths.iter().find(|(key, _)| plain(key) == host)?;
    from_auth(host, auth)
}

/// A key of the file as the host in an image name: without scheme and path.
fn plain(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => HUB,
        host => host,
    }
}

fn key(host: &str) -> &str {
    if host == HUB { HUB_KEY } else { host }
}

fn from_auth(host: &str, auth: &Auth) -> Option<DockerCredentials> {
    let decoded = auth.auth.as_deref().and_then(|text| {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (username, password) = text.split_once(':')?;
        Some((
            username.to_owned(),
            password.trim_end_matches('\0').to_owned(),
        ))
    });
    let plain = auth.username.clone().zip(auth.password.clone());
    let pair = decoded.or(plain);
    if pair.is_none() && auth.identitytoken.is_none() {
        return None;
    }
    let (username, password) = pair.unzip();
    Some(DockerCredentials {
        username,
        password,
        identitytoken: auth.identitytoken.clone().filter(|token| !token.is_empty()),
        serveraddress: Some(key(host).to_owned()),
        ..Default::default()
    })
}

fn from_answer(host: &str, answer: Answer) -> DockerCredentials {
    let serveraddress = Some(key(host).to_owned());
    // Docker's own mark for "the secret is a token".
    if answer.username == "<token>" {
        return DockerCredentials {
            identitytoken: Some(answer.secret),
            serveraddress,
            ..Default::default()
        };
    }
    DockerCredentials {
        username: Some(answer.username),
        password: Some(answer.secret),
        serveraddress,
        ..Default::default()
    }
}

/// Runs `docker-credential-NAME get`: the host goes in by standard input, the answer comes back by
/// standard output, so nothing is seen in a list of processes.
async fn ask(helper: &str, server: &str) -> Result<Option<Answer>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if helper.is_empty() || !helper.bytes().all(is_name) {
        return Err("its name is not one of a program".into());
    }
    let mut child = tokio::process::Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start it: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let written = stdin.write_all(server.as_bytes()).await;
        written.map_err(|error| format!("cannot ask it: {error}"))?;
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| format!("no answer within {} s", HELPER_TIMEOUT.as_secs()))?
        .map_err(|error| format!("cannot read its answer: {error}"))?;
    if !output.status.success() {
        // Helpers say "not found" this way; their standard output then holds a sentence.
        return Ok(None);
    }
    serde_json::from_slice(&output.stdout)
        .map(Some)
        .map_err(|_| "its answer is not understood".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_name_tells_its_host() {
        let cases = [
            ("alpine", HUB),
            ("acme/shop:1", HUB),
            ("ghcr.io/acme/shop", "ghcr.io"),
            ("127.0.0.1:5050/a/b@sha256:0", "127.0.0.1:5050"),
            ("localhost/a", "localhost"),
            ("EVIL/x", "EVIL"),
            ("evil/X", HUB),
        ];
        for (image, expected) in cases {
            assert_eq!(host(image), expected);
        }
    }

    #[tokio::test]
    async fn credentials_go_to_their_own_host_only() {
        let auth = STANDARD.encode("me:pass:word");
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}},
                 "https://ghcr.io": {{"identitytoken": "tok"}}, "empty.example": {{}}}},
                 "credHelpers": {{"broken.example": "../evil"}}, "other": 1}}"#
        );
        let file: File = serde_json::from_str(&text).unwrap();
        let hub = resolve(&file, HUB).await.unwrap();
        assert_eq!(hub.username.as_deref(), Some("me"));
        assert_eq!(hub.password.as_deref(), Some("pass:word"));
        assert_eq!(hub.serveraddress.as_deref(), Some(HUB_KEY));
        let github = resolve(&file, "ghcr.io").await.unwrap();
        assert_eq!(github.identitytoken.as_deref(), Some("tok"));
        for host in [
            "evil.example",
            "ghcr.io.evil.example",
            "empty.example",
            "broken.example",
        ] {
            assert_eq!(resolve(&file, host).await, None, "{host}");
        }
    }
}
