//! Where the bytes of caches and artifacts are kept: a folder, or a bucket of an object store.
//!
//! Credentials of a bucket come from the variables that every tool of that cloud reads. They are
//! collected here, so that nothing else has to look into the environment.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::ConfigError;
use super::read::refuse;

const SETTING: &str = "SEAWORTHY_OBJECTS_URL";
const HINT: &str = "write it as file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, \
                    without user, question mark or fragment";

/// Where caches and artifacts are kept.
#[derive(Debug, Clone)]
pub enum ObjectsConfig {
    /// Files below this folder.
    Folder(PathBuf),
    /// Objects of a bucket.
    Bucket(BucketConfig),
}

/// A bucket and how to reach it.
#[derive(Debug, Clone)]
pub struct BucketConfig {
    /// Which cloud's words it is told.
    pub cloud: Cloud,
    /// The bucket, and below which prefix.
    pub url: Url,
    /// The cloud's own variables, in lower case: `aws_access_key_id`.
    pub options: Vec<(String, SecretString)>,
}

/// What speaks behind a bucket's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// S3, or a server that speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Cloud {
    /// How the names of its variables begin.
    fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }
}

/// The process's environment, as far as it is text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Where caches and artifacts are, for a command beside the server: the setting, or without one a
/// folder of the data directory.
pub fn objects_of(url: Option<&str>, data: &Path) -> Result<ObjectsConfig, ConfigError> {
    objects(url, data, environment())
}

/// Reads the setting; without one, a folder of the data directory.
pub(super) fn objects(
    text: Option<&str>,
    data: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<ObjectsConfig, ConfigError> {
    let Some(text) = text.map(str::trim) else {
        return Ok(ObjectsConfig::Folder(data.join("objects")));
    };
    // What is not taken may hold a password, so only its kind is said.
    let bad = |what: &str| refuse(SETTING, what, HINT);
    let url: Url = text.parse().map_err(|_| bad("it is not an address"))?;
    let is_more = !url.username().is_empty()
        || url.password().is_some()
        || url.port().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    if is_more {
        return Err(bad("it has more than a bucket and a prefix"));
    }
    let cloud = match url.scheme() {
        "file" => {
            let folder = url.to_file_path();
            let folder =
                folder.map_err(|()| bad("its folder is not a full path of this machine"))?;
            return Ok(ObjectsConfig::Folder(folder));
        }
        "s3" => Cloud::S3,
        "gs" => Cloud::Google,
        "az" => Cloud::Azure,
        other => return Err(bad(&format!("`{other}://` is not known"))),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no bucket"));
    }
    let options = options(cloud, environment)?;
    Ok(ObjectsConfig::Bucket(BucketConfig {
        cloud,
        url,
        options,
    }))
}

/// The variables of the cloud. Plain HTTP is for servers on this very machine, or on request.
fn options(
    cloud: Cloud,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, SecretString)>, ConfigError> {
    let mut options = Vec::new();
    let (mut plain, mut allowed) = (None, false);
    for (name, value) in environment {
        if !name.starts_with(cloud.variables()) || value.is_empty() {
            continue;
        }
        match name.as_str() {
            "AWS_ALLOW_HTTP" => allowed = value.eq_ignore_ascii_case("true"),
            "AWS_ENDPOINT_URL" | "AWS_ENDPOINT_URL_S3" | "AWS_ENDPOINT" => {
                let address = endpoint(&name, &value)?;
                if address.scheme() == "http" {
                    plain = Some((name.clone(), is_loopback(&address)));
                }
            }
            _ => {}
        }
        options.push((name.to_ascii_lowercase(), value.into()));
    }
    match plain {
        Some((name, false)) if !allowed => Err(refuse(
            &name,
            "it is plain http to another machine: keys and bytes could be read on the way",
            "use https, or set AWS_ALLOW_HTTP=true if the network between is yours",
        )),
        Some(_) => {
            options.retain(|(name, _)| name != "aws_allow_http");
            options.push(("aws_allow_http".into(), "true".to_owned().into()));
            Ok(options)
        }
        None => Ok(options),
    }
}

fn endpoint(name: &str, value: &str) -> Result<Url, ConfigError> {
    let url = value.trim().parse::<Url>().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| {
        let hint = "write it as https://HOST, where the S3-compatible server listens";
        refuse(name, "it is not an http or https address", hint)
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A number of bytes: `500000`, `10 GiB`, `500MB`.
pub(super) fn bytes(setting: &str, text: &str) -> Result<u64, ConfigError> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        _ => None,
    };
    let number = number.parse::<u64>().ok();
    // The database counts in signed numbers.
    let bytes = number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    bytes
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| {
            let problem = format!("`{text}` is not a number of bytes");
            refuse(
                setting,
                problem,
                "write it as `10 GiB`, `500 MB` or a plain number",
            )
        })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<ObjectsConfig, ConfigError> {
        let pairs = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        objects(Some(text), Path::new("/data"), pairs)
    }

    fn bucket(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let ObjectsConfig::Bucket(bucket) = read(text, variables).unwrap() else {
            panic!("{text} is no bucket");
        };
        let pair =
            |(name, value): &(String, SecretString)| format!("{name}={}", value.expose_secret());
        bucket.options.iter().map(pair).collect()
    }

    #[test]
    fn without_the_setting_files_are_kept_under_the_data_directory() {
        let found = objects(None, Path::new("/data"), std::iter::empty()).unwrap();
        assert!(
            matches!(found, ObjectsConfig::Folder(folder) if folder == Path::new("/data/objects"))
        );
        let found = read("file:///srv/bytes", &[]).unwrap();
        assert!(
            matches!(found, ObjectsConfig::Folder(folder) if folder == Path::new("/srv/bytes"))
        );
    }

    #[test]
    fn a_bucket_takes_the_variables_of_its_cloud_and_tells_nobody() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:7070"),
            ("GOOGLE_SERVICE_ACCOUNT", "other"),
            ("HOME", "/root"),
        ];
        assert_eq!(
            bucket("s3://builds/ci", &variables),
            [
                "aws_secret_access_key=canary",
                "aws_endpoint_url=http://127.0.0.1:7070",
                "aws_allow_http=true",
            ]
        );
        assert_eq!(
            bucket("gs://builds", &variables),
            ["google_service_account=other"]
        );
        let words = format!("{:?}", read("s3://builds/ci", &variables));
        assert!(!words.contains("canary"), "{words}");
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_do() {
        let far = [("AWS_ENDPOINT_URL", "http://store.example")];
        let told = [
            read("builds", &[]),
            read("ftp://builds", &[]),
            read("s3:///ci", &[]),
            read("s3://key:canary@builds/ci", &[]),
            read("s3://builds", &far),
            read("s3://builds", &[("AWS_ENDPOINT_URL", "store.example:9000")]),
        ];
        let told = told.map(|refused| refused.unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"), @r"
        SEAWORTHY_OBJECTS_URL: it is not an address; write it as file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, without user, question mark or fragment
        SEAWORTHY_OBJECTS_URL: `ftp://` is not known; write it as file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, without user, question mark or fragment
        SEAWORTHY_OBJECTS_URL: it names no bucket; write it as file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, without user, question mark or fragment
        SEAWORTHY_OBJECTS_URL: it has more than a bucket and a prefix; write it as file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, without user, question mark or fragment
        AWS_ENDPOINT_URL: it is plain http to another machine: keys and bytes could be read on the way; use https, or set AWS_ALLOW_HTTP=true if the network between is yours
        AWS_ENDPOINT_URL: it is not an http or https address; write it as https://HOST, where the S3-compatible server listens
        ");
        let mut agreed = far.to_vec();
        agreed.push(("AWS_ALLOW_HTTP", "true"));
        assert!(read("s3://builds", &agreed).is_ok());
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("0", 0),
            ("10 GiB", 10 << 30),
            ("10gib", 10 << 30),
            ("5 MB", 5_000_000),
        ];
        for (text, wanted) in cases {
            assert_eq!(bytes("X", text).unwrap(), wanted, "{text}");
        }
        for text in ["", "GiB", "1.5 GiB", "-1", "5 apples", "99999999 TiB"] {
            assert!(bytes("X", text).is_err(), "{text}");
        }
    }
}
