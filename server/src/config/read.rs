//! From texts to a checked [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::objects::{bytes, environment, objects};
use super::{
    ARTIFACT_DAYS_DEFAULT, CACHE_BYTES_DEFAULT, Config, ConfigError, GitHubConfig,
    LOG_DAYS_DEFAULT, ServeArgs, secret_key_file,
};

const GITHUB_API: &str = "https://api.github.com";
const GITHUB_WEB: &str = "https://github.com";

/// `seaworthy.toml`: the names of the environment without `SEAWORTHY_`, in lower case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<String>,
    objects_url: Option<String>,
    cache_bytes: Option<Number>,
    log_days: Option<Number>,
    artifact_days: Option<Number>,
    secret_key_file: Option<String>,
    listen: Option<String>,
    public_url: Option<String>,
    lease: Option<Number>,
    github_api_url: Option<String>,
    github_web_url: Option<String>,
    github_app_id: Option<Number>,
    github_private_key_file: Option<String>,
    github_webhook_secret_file: Option<String>,
    github_pace: Option<Number>,
    github_poll: Option<Number>,
}

/// A number, however it is written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Part(f64),
    Text(String),
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        match number {
            Number::Whole(number) => number.to_string(),
            Number::Part(number) => number.to_string(),
            Number::Text(text) => text,
        }
    }
}

pub(super) fn refuse(
    setting: &str,
    problem: impl Into<String>,
    hint: impl Into<String>,
) -> ConfigError {
    ConfigError {
        setting: setting.to_owned(),
        problem: problem.into(),
        hint: hint.into(),
    }
}

impl ServeArgs {
    /// The configuration these arguments, the environment and the file make together.
    pub fn config(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => read_file(path)?,
            None => File::default(),
        };
        // Compose files and charts hand over variables that are there but empty: that is "not set".
        let pick = |given: Option<String>, file: Option<String>| {
            given.filter(|text| !text.trim().is_empty()).or(file)
        };
        let lease_ms = match pick(self.lease, file.lease.map(Into::into)) {
            Some(text) => milliseconds("SEAWORTHY_LEASE", &text, 0.1..=3600.0)?,
            None => 30_000,
        };
        let github = Github {
            api_url: pick(self.github_api_url, file.github_api_url),
            web_url: pick(self.github_web_url, file.github_web_url),
            app_id: pick(self.github_app_id, file.github_app_id.map(Into::into)),
            key_file: pick(self.github_private_key_file, file.github_private_key_file),
            secret_file: pick(
                self.github_webhook_secret_file,
                file.github_webhook_secret_file,
            ),
            pace: pick(self.github_pace, file.github_pace.map(Into::into)),
            poll: pick(self.github_poll, file.github_poll.map(Into::into)),
        };
        let data = pick(self.data, file.data).unwrap_or_else(|| "./data".into());
        let data = PathBuf::from(data);
        let cache_bytes = match pick(self.cache_bytes, file.cache_bytes.map(Into::into)) {
            Some(text) => bytes("SEAWORTHY_CACHE_BYTES", &text)?,
            None => CACHE_BYTES_DEFAULT,
        };
        let log_days = match pick(self.log_days, file.log_days.map(Into::into)) {
            Some(text) => days("SEAWORTHY_LOG_DAYS", &text)?,
            None => LOG_DAYS_DEFAULT,
        };
        let artifact_days = match pick(self.artifact_days, file.artifact_days.map(Into::into)) {
            Some(text) => days("SEAWORTHY_ARTIFACT_DAYS", &text)?,
            None => ARTIFACT_DAYS_DEFAULT,
        };
        let objects_url = pick(self.objects_url, file.objects_url);
        let key_file = pick(self.secret_key_file, file.secret_key_file);
        Ok(Config {
            listen: listen(pick(self.listen, file.listen).as_deref())?,
            public_url: pick(self.public_url, file.public_url)
                .map(|text| origin("SEAWORTHY_PUBLIC_URL", &text))
                .transpose()?,
            objects: objects(objects_url.as_deref(), &data, environment())?,
            cache_bytes,
            log_days,
            artifact_days,
            secret_key_file: key_file.map_or_else(|| secret_key_file(&data), PathBuf::from),
            data,
            github: github.read()?,
            lease_ms,
            heartbeat_ms: (lease_ms / 3).max(50),
        })
    }
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(
            "SEAWORTHY_CONFIG",
            format!("cannot read {name}: {error}"),
            "name a file that this user may read, or leave the setting out",
        )
    })?;
    toml::from_str(&text).map_err(|error| {
        let place = error.span().map_or(1, |span| {
            text[..span.start.min(text.len())].matches('\n').count() + 1
        });
        refuse(
            "SEAWORTHY_CONFIG",
            format!("{name}:{place}: {}", error.message()),
            "see docs/configuration.md for the keys",
        )
    })
}

fn listen(text: Option<&str>) -> Result<SocketAddr, ConfigError> {
    let text = text.unwrap_or("127.0.0.1:8080").trim();
    text.parse().map_err(|_| {
        refuse(
            "SEAWORTHY_LISTEN",
            format!("`{text}` is not an address and a port"),
            "write it as 127.0.0.1:8080, or 0.0.0.0:8080 to be reached from other machines",
        )
    })
}

/// An address without path, as people and GitHub put paths behind it.
fn origin(setting: &str, text: &str) -> Result<String, ConfigError> {
    let url = address(setting, text)?;
    if url.path() != "/" {
        return Err(refuse(
            setting,
            format!("`{text}` has a path"),
            "give the server a host name of its own, as in https://ci.example.org",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn address(setting: &str, text: &str) -> Result<url::Url, ConfigError> {
    let hint = "write it as https://HOST, without user, question mark or fragment";
    let bad = |what: &str| refuse(setting, format!("`{text}` {what}"), hint);
    let url: url::Url = text.trim().parse().map_err(|_| bad("is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("is not an http or https address"));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(bad("has more than host, port and path"));
    }
    Ok(url)
}

fn milliseconds(
    setting: &str,
    text: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<u64, ConfigError> {
    match text.trim().parse::<f64>() {
        // Whole milliseconds within the range fit well into the integer.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(seconds) if range.contains(&seconds) => Ok((seconds * 1000.0).round() as u64),
        Ok(_) | Err(_) => Err(refuse(
            setting,
            format!("`{text}` is not a number of seconds that can be used"),
            format!("write a number from {} to {}", range.start(), range.end()),
        )),
    }
}

/// A number of days; none for 0, which is for ever.
fn days(setting: &str, text: &str) -> Result<Option<u32>, ConfigError> {
    match text.trim().parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(days @ 1..=36_500) => Ok(Some(days)),
        Ok(_) | Err(_) => Err(refuse(
            setting,
            format!("`{text}` is not a number of days that can be used"),
            "write a whole number from 1 to 36500, or 0 for ever",
        )),
    }
}

fn secret_file(setting: &str, path: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        refuse(
            setting,
            format!("cannot read {path}: {error}"),
            "name a file that this user may read",
        )
    })
}

struct Github {
    api_url: Option<String>,
    web_url: Option<String>,
    app_id: Option<String>,
    key_file: Option<String>,
    secret_file: Option<String>,
    pace: Option<String>,
    poll: Option<String>,
}

impl Github {
    fn read(self) -> Result<Option<GitHubConfig>, ConfigError> {
        let parts = [
            ("SEAWORTHY_GITHUB_APP_ID", &self.app_id),
            ("SEAWORTHY_GITHUB_PRIVATE_KEY_FILE", &self.key_file),
            ("SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE", &self.secret_file),
        ];
        if parts.iter().all(|(_, value)| value.is_none()) {
            return Ok(None);
        }
        if let Some((missing, _)) = parts.iter().find(|(_, value)| value.is_none()) {
            return Err(refuse(
                missing,
                "it is missing, while other settings of the GitHub App are there",
                "set App id, private key and webhook secret together, or none of them",
            ));
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (api_url, web_url) = self.addresses()?;
        let pace_ms = match &self.pace {
            Some(pace) => milliseconds("SEAWORTHY_GITHUB_PACE", pace, 0.0..=60.0)?,
            None => 1000,
        };
        let poll_ms = match &self.poll {
            Some(poll) => milliseconds("SEAWORTHY_GITHUB_POLL", poll, 0.1..=600.0)?,
            None => 240_000,
        };
        Ok(Some(GitHubConfig {
            api_url,
            web_url,
            app_id: app_id(&text(&self.app_id))?,
            private_key: private_key(&text(&self.key_file))?,
            webhook_secrets: webhook_secrets(&text(&self.secret_file))?,
            pace_ms,
            poll_ms,
        }))
    }

    fn addresses(&self) -> Result<(String, String), ConfigError> {
        let bare = |url: &url::Url| url.as_str().trim_end_matches('/').to_owned();
        let api = match &self.api_url {
            Some(text) => bare(&address("SEAWORTHY_GITHUB_API_URL", text)?),
            None => GITHUB_API.to_owned(),
        };
        let web = match &self.web_url {
            Some(text) => bare(&address("SEAWORTHY_GITHUB_WEB_URL", text)?),
            None if api == GITHUB_API => GITHUB_WEB.to_owned(),
            None => api.trim_end_matches("/api/v3").to_owned(),
        };
        Ok((api, web))
    }
}

fn app_id(text: &str) -> Result<u64, ConfigError> {
    text.trim().parse().map_err(|_| {
        refuse(
            "SEAWORTHY_GITHUB_APP_ID",
            format!("`{text}` is not the number of an App"),
            "it is the `App ID` on the App's page at GitHub, a number",
        )
    })
}

fn private_key(path: &str) -> Result<SecretString, ConfigError> {
    let setting = "SEAWORTHY_GITHUB_PRIVATE_KEY_FILE";
    let pem = secret_file(setting, path)?;
    if jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).is_err() {
        return Err(refuse(
            setting,
            format!("{path} holds no RSA private key"),
            "it is the .pem file that GitHub gave when the App's private key was made",
        ));
    }
    Ok(pem.into())
}

fn webhook_secrets(path: &str) -> Result<Vec<SecretString>, ConfigError> {
    let setting = "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE";
    let text = secret_file(setting, path)?;
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.len() {
        1 | 2 => Ok(lines.into_iter().map(SecretString::from).collect()),
        count => Err(refuse(
            setting,
            format!("{path} holds {count} secrets"),
            "write the present secret on one line, and while it is being changed the former one on a second",
        )),
    }
}
