//! The table of settings that the documentation is compared with.

/// A setting, as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its environment variable. The flag is the same in lower case, the key in the file too.
    pub name: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Every setting of the server.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "SEAWORTHY_CONFIG",
        default: "none",
        meaning: "a file of settings (seaworthy.toml); flags and the environment win over it",
    },
    Setting {
        name: "SEAWORTHY_DATA",
        default: "./data",
        meaning: "where database and logs are",
    },
    Setting {
        name: "SEAWORTHY_OBJECTS_URL",
        default: "`objects/` in the data directory",
        meaning: "where caches and artifacts are kept: `file:///FOLDER`, or `s3://`, `gs://`, `az://` and `BUCKET/PREFIX`",
    },
    Setting {
        name: "SEAWORTHY_CACHE_BYTES",
        default: "10 GiB",
        meaning: "how many bytes of caches a repository may keep; beyond, the least recently used ones go",
    },
    Setting {
        name: "SEAWORTHY_LOG_DAYS",
        default: "365",
        meaning: "for how many days logs are kept after their job has ended; 0: for ever",
    },
    Setting {
        name: "SEAWORTHY_ARTIFACT_DAYS",
        default: "90",
        meaning: "for how many days artifacts are kept; 0: for ever",
    },
    Setting {
        name: "SEAWORTHY_SECRET_KEY_FILE",
        default: "`secret.key` in the data directory",
        meaning: "the file with the key that secrets are sealed with; made when the first secret is set",
    },
    Setting {
        name: "SEAWORTHY_LISTEN",
        default: "127.0.0.1:8080",
        meaning: "where the server listens; port 0 picks one and prints it",
    },
    Setting {
        name: "SEAWORTHY_PUBLIC_URL",
        default: "from the listener",
        meaning: "what GitHub and people call the server",
    },
    Setting {
        name: "SEAWORTHY_LEASE",
        default: "30",
        meaning: "how long a runner holds a job without being heard from, in seconds",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_API_URL",
        default: "https://api.github.com",
        meaning: "the API of a GitHub Enterprise server (`https://HOST/api/v3`)",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_WEB_URL",
        default: "https://github.com, or the API's address without `/api/v3`",
        meaning: "the pages of a GitHub Enterprise server",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_APP_ID",
        default: "none: GitHub is not connected",
        meaning: "the number of the GitHub App",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_PRIVATE_KEY_FILE",
        default: "none: GitHub is not connected",
        meaning: "a file with the GitHub App's private key",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
        default: "none: GitHub is not connected",
        meaning: "a file with the webhook's secret, and on a second line the former one",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_PACE",
        default: "1",
        meaning: "seconds between two changes at GitHub, for each installation",
    },
    Setting {
        name: "SEAWORTHY_GITHUB_POLL",
        default: "240",
        meaning: "seconds between two looks at GitHub for what no webhook told, from 0.1 to 600",
    },
];
