//! What is read, what wins, and what is refused.

use std::path::Path;

use secrecy::ExposeSecret;

use super::{ConfigError, ServeArgs};
use crate::web::tests::private_key;

fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn refused(args: ServeArgs) -> ConfigError {
    let error = args.config().unwrap_err();
    assert_eq!(error.exit_code(), 3);
    error
}

#[test]
fn without_settings_the_defaults_hold() {
    let config = ServeArgs::default().config().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data, Path::new("./data"));
    assert_eq!((config.lease_ms, config.heartbeat_ms), (30_000, 10_000));
    assert!(config.github.is_none() && config.public_url.is_none());
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "listen = \"0.0.0.0:9000\"\nlease = 1.5\npublic_url = \"https://ci.example/\"\n";
    let config = ServeArgs {
        config: Some(file(folder.path(), "seaworthy.toml", toml).into()),
        listen: Some("127.0.0.1:1".into()),
        // A variable that is there but empty is not set.
        public_url: Some(String::new()),
        ..ServeArgs::default()
    };
    let config = config.config().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
    assert_eq!((config.lease_ms, config.heartbeat_ms), (1500, 500));
    assert_eq!(config.public_url.as_deref(), Some("https://ci.example"));
}

#[test]
fn the_settings_of_github_come_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut args = ServeArgs {
        github_app_id: Some("4711".into()),
        github_private_key_file: Some(file(folder.path(), "key.pem", &private_key())),
        github_webhook_secret_file: Some(file(folder.path(), "secret", "new\nold\n")),
        github_api_url: Some("http://127.0.0.1:9/api/v3/".into()),
        ..ServeArgs::default()
    };
    let github = args.clone().config().unwrap().github.unwrap();
    assert_eq!(github.api_url, "http://127.0.0.1:9/api/v3");
    assert_eq!(github.web_url, "http://127.0.0.1:9");
    let secrets: Vec<_> = github
        .webhook_secrets
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    assert_eq!(secrets, ["new", "old"]);
    assert!(!format!("{github:?}").contains("new"));
    args.github_app_id = None;
    assert_eq!(refused(args).setting, "SEAWORTHY_GITHUB_APP_ID");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_setting_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let plain = ServeArgs::default;
    let key = file(folder.path(), "key.pem", "no key");
    let three = file(folder.path(), "three", "a\nb\nc\n");
    let good_key = file(folder.path(), "good.pem", &private_key());
    let secret = file(folder.path(), "secret", "one");
    let github = |app: &str, key: &str, secret: &str| ServeArgs {
        github_app_id: Some(app.into()),
        github_private_key_file: Some(key.into()),
        github_webhook_secret_file: Some(secret.into()),
        ..plain()
    };
    let cases = [
        ServeArgs {
            listen: Some("8080".into()),
            ..plain()
        },
        ServeArgs {
            public_url: Some("ftp://x".into()),
            ..plain()
        },
        ServeArgs {
            public_url: Some("https://x/ci".into()),
            ..plain()
        },
        ServeArgs {
            lease: Some("soon".into()),
            ..plain()
        },
        ServeArgs {
            lease: Some("0".into()),
            ..plain()
        },
        ServeArgs {
            log_days: Some("-1".into()),
            ..plain()
        },
        ServeArgs {
            config: Some("/nowhere/seaworthy.toml".into()),
            ..plain()
        },
        ServeArgs {
            config: Some(file(folder.path(), "a.toml", "data = \"x\"\nlisen = \"y\"\n").into()),
            ..plain()
        },
        github("shop", &good_key, &secret),
        github("1", &key, &secret),
        github("1", &good_key, &three),
        github("1", &good_key, "/nowhere"),
    ];
    let told: Vec<_> = cases
        .into_iter()
        .map(|args| refused(args).to_string())
        .map(|words| words.replace(&folder.path().display().to_string(), "DIR"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    SEAWORTHY_LISTEN: `8080` is not an address and a port; write it as 127.0.0.1:8080, or 0.0.0.0:8080 to be reached from other machines
    SEAWORTHY_PUBLIC_URL: `ftp://x` is not an http or https address; write it as https://HOST, without user, question mark or fragment
    SEAWORTHY_PUBLIC_URL: `https://x/ci` has a path; give the server a host name of its own, as in https://ci.example.org
    SEAWORTHY_LEASE: `soon` is not a number of seconds that can be used; write a number from 0.1 to 3600
    SEAWORTHY_LEASE: `0` is not a number of seconds that can be used; write a number from 0.1 to 3600
    SEAWORTHY_LOG_DAYS: `-1` is not a number of days that can be used; write a whole number from 1 to 36500, or 0 for ever
    SEAWORTHY_CONFIG: cannot read /nowhere/seaworthy.toml: No such file or directory (os error 2); name a file that this user may read, or leave the setting out
    SEAWORTHY_CONFIG: DIR/a.toml:2: unknown field `lisen`, expected one of `data`, `objects_url`, `cache_bytes`, `log_days`, `artifact_days`, `secret_key_file`, `listen`, `public_url`, `lease`, `github_api_url`, `github_web_url`, `github_app_id`, `github_private_key_file`, `github_webhook_secret_file`, `github_pace`, `github_poll`; see docs/configuration.md for the keys
    SEAWORTHY_GITHUB_APP_ID: `shop` is not the number of an App; it is the `App ID` on the App's page at GitHub, a number
    SEAWORTHY_GITHUB_PRIVATE_KEY_FILE: DIR/key.pem holds no RSA private key; it is the .pem file that GitHub gave when the App's private key was made
    SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE: DIR/three holds 3 secrets; write the present secret on one line, and while it is being changed the former one on a second
    SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE: cannot read /nowhere: No such file or directory (os error 2); name a file that this user may read
    "#);
}

#[test]
fn every_setting_is_in_the_table_and_every_flag_has_its_variable() {
    use clap::Args;
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let mut variables: Vec<_> = command
        .get_arguments()
        .map(|argument| argument.get_env().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut documented: Vec<_> = super::SETTINGS.iter().map(|s| s.name.to_owned()).collect();
    variables.sort();
    documented.sort();
    assert_eq!(variables, documented);
}
