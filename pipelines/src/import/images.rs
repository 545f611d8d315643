//! Which image stands in for a language, a runner's label, or a service with a name only.

use super::model::{Cache, Service};

/// The image of a job that nothing is known about but that it runs on Linux.
pub(super) const LINUX: &str = "buildpack-deps:bookworm";

/// An image in which the language is there in this version. `version` may be a gap such as
/// `${{ matrix.node }}`.
pub(super) fn of_language(language: &str, version: Option<&str>) -> Option<String> {
    let (image, newest) = match language {
        "node" | "node_js" | "nodejs" | "javascript" | "typescript" => ("node", "22"),
        "python" => ("python", "3.13"),
        "go" | "golang" => ("golang", "1.24"),
        "rust" => ("rust", "1"),
        "java" | "kotlin" => ("eclipse-temurin", "21"),
        "groovy" => ("gradle", "8-jdk21"),
        "scala" => (
            "sbtscala/scala-sbt",
            "eclipse-temurin-21.0.7_6_1.11.2_3.7.1",
        ),
        "ruby" => ("ruby", "3.4"),
        "php" => ("php", "8.4-cli"),
        "elixir" => ("elixir", "1.18"),
        "erlang" => ("erlang", "27"),
        "perl" | "perl6" => ("perl", "5.40"),
        "haskell" => ("haskell", "9.10"),
        "julia" => ("julia", "1"),
        "r" => ("r-base", "4.4.3"),
        "swift" => ("swift", "6.1"),
        "dart" => ("dart", "stable"),
        "crystal" => ("crystallang/crystal", "1.16"),
        "clojure" => ("clojure", "temurin-21-lein"),
        "csharp" | "dotnet" => ("mcr.microsoft.com/dotnet/sdk", "9.0"),
        "deno" => ("denoland/deno", "2.3.1"),
        "bun" => ("oven/bun", "1"),
        "c" | "cpp" | "c++" => ("gcc", "14"),
        "d" | "generic" | "minimal" | "shell" | "bash" | "sh" => return Some(LINUX.into()),
        _ => return None,
    };
    let Some(version) = version.map(str::trim).filter(|version| !version.is_empty()) else {
        return Some(format!("{image}:{newest}"));
    };
    Some(format!("{image}:{}", tag(image, version)))
}

/// The tag for a version as people write it: `18.x`, `v1.22`, `^3.9`, `lts/*`, `stable`.
fn tag(image: &str, version: &str) -> String {
    if version.contains("${{") {
        return version.to_owned();
    }
    let word = version.to_ascii_lowercase();
    let named = match (image, word.as_str()) {
        ("node", "lts/*" | "lts" | "lts/-1") => Some("lts"),
        ("node", "node" | "stable" | "current" | "latest" | "*") => Some("current"),
        ("rust", "stable") => Some("1"),
        ("golang", "stable" | "oldstable" | "tip" | "master") => Some("1.24"),
        (_, "latest" | "stable" | "*") => Some("latest"),
        _ => None,
    };
    if let Some(named) = named {
        return named.into();
    }
    let version = word
        .trim_start_matches(|c: char| "^~>=v ".contains(c))
        .trim_start_matches("openjdk")
        .trim_start_matches("oraclejdk")
        .trim_end_matches(".x")
        .trim_end_matches(".*");
    let version = match image {
        "node" => version.trim_start_matches("lts/"),
        "python" => version.trim_end_matches("-dev"),
        _ => version,
    };
    let version = version
        .split([' ', ',', '|', '<'])
        .next()
        .unwrap_or(version);
    match image {
        "php" => format!("{version}-cli"),
        _ => version.to_owned(),
    }
}

/// The version as it stands in the tag of the language's image.
pub(super) fn version_tag(language: &str, version: &str) -> String {
    let image = of_language(language, Some(version)).unwrap_or_default();
    match image.split_once(':') {
        Some((_, tag)) => tag.to_owned(),
        None => version.to_owned(),
    }
}

/// What a runner's label says of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Linux,
    /// macOS or Windows: no container of ours is that.
    Other,
    /// A label that its owner gave.
    Own,
}

pub(super) fn machine(label: &str) -> Machine {
    let label = label.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| label.contains(word));
    if is(&["macos", "windows", "osx", "darwin"]) {
        Machine::Other
    } else if is(&["ubuntu", "linux", "debian"]) || label == "docker" {
        Machine::Linux
    } else {
        Machine::Own
    }
}

/// The service people mean by a name alone.
pub(super) fn service(name: &str) -> Option<Service> {
    let (short, image) = match name {
        "postgresql" | "postgres" => ("postgres", "postgres:17"),
        "mysql" => ("mysql", "mysql:8.4"),
        "mariadb" => ("mariadb", "mariadb:11.4"),
        "redis" | "redis-server" => ("redis", "redis:7"),
        "mongodb" | "mongo" => ("mongodb", "mongo:8.0"),
        "memcached" => ("memcached", "memcached:1.6"),
        "rabbitmq" => ("rabbitmq", "rabbitmq:4"),
        "elasticsearch" => ("elasticsearch", "elasticsearch:8.18.0"),
        "couchdb" => ("couchdb", "couchdb:3.4"),
        "cassandra" => ("cassandra", "cassandra:5.0"),
        "neo4j" => ("neo4j", "neo4j:5"),
        "rethinkdb" => ("rethinkdb", "rethinkdb:2.4"),
        _ => return None,
    };
    let mut service = Service {
        name: short.into(),
        image: image.into(),
        ..Service::default()
    };
    make_ready(&mut service);
    Some(service)
}

/// Lets a well-known server be waited for, and start at all without a password of its own.
pub(super) fn make_ready(service: &mut Service) {
    let image = service.image.rsplit('/').next().unwrap_or_default();
    let image = image.split([':', '@']).next().unwrap_or_default();
    let has = |key: &str| service.env.iter().any(|(name, _)| name.starts_with(key));
    let (ready, variable) = match image {
        "postgres" | "postgresql" | "postgis" => {
            let variable = ("POSTGRES_HOST_AUTH_METHOD", "trust");
            (
                "pg_isready",
                (!has("POSTGRES_PASSWORD")).then_some(variable),
            )
        }
        "mysql" => {
            let variable = ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes");
            let has_password = has("MYSQL_ROOT_PASSWORD") || has("MYSQL_ALLOW_EMPTY");
            (
                "mysqladmin ping -h 127.0.0.1",
                (!has_password).then_some(variable),
            )
        }
        "mariadb" => {
            let variable = ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "yes");
            let has_password = has("MARIADB_") || has("MYSQL_");
            (
                "healthcheck.sh --connect --innodb_initialized",
                (!has_password).then_some(variable),
            )
        }
        "redis" | "valkey" => ("redis-cli ping", None),
        "mongo" => ("mongosh --quiet --eval 'db.runCommand({ ping: 1 })'", None),
        "rabbitmq" => ("rabbitmq-diagnostics -q ping", None),
        "elasticsearch" => {
            let variable = ("discovery.type", "single-node");
            let missing = (!has("discovery")).then_some(variable);
            ("curl -fs http://127.0.0.1:9200/_cluster/health", missing)
        }
        _ => return,
    };
    service.ready.get_or_insert_with(|| ready.to_owned());
    // A name that is no variable would be refused, however the server likes it.
    if let Some((key, value)) = variable.filter(|(key, _)| super::names::is_variable(key)) {
        service.env.push((key.into(), value.into()));
    }
}

/// The folders a language's tool keeps its downloads in, and the files that decide about them.
pub(super) fn cache_of(tool: &str) -> Option<Cache> {
    let (key, paths): (&[&str], &[&str]) = match tool {
        "npm" => (&["package-lock.json"], &["/root/.npm"]),
        "yarn" => (&["yarn.lock"], &["/usr/local/share/.cache/yarn"]),
        "pnpm" => (&["pnpm-lock.yaml"], &["/root/.local/share/pnpm/store"]),
        "pip" => (&["requirements.txt"], &["/root/.cache/pip"]),
        "pipenv" => (&["Pipfile.lock"], &["/root/.cache/pipenv"]),
        "poetry" => (&["poetry.lock"], &["/root/.cache/pypoetry"]),
        "uv" => (&["uv.lock"], &["/root/.cache/uv"]),
        "bundler" => (&["Gemfile.lock"], &["vendor/bundle"]),
        "cargo" => (&["Cargo.lock"], &["/usr/local/cargo/registry", "target"]),
        "go" => (&["go.sum"], &["/go/pkg/mod", "/root/.cache/go-build"]),
        "maven" => (&["pom.xml"], &["/root/.m2/repository"]),
        "gradle" => (&["build.gradle"], &["/root/.gradle/caches"]),
        "composer" => (&["composer.lock"], &["/root/.composer/cache"]),
        "ccache" => (&["CMakeLists.txt"], &["/root/.ccache"]),
        _ => return None,
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Some(Cache {
        key: texts(key),
        paths: texts(paths),
    })
}

/// A folder as it is in a container, where the home is root's.
pub(super) fn path(path: &str) -> String {
    let path = path.trim();
    let path = match path.strip_prefix('~') {
        Some(rest) => format!("/root{rest}"),
        None => path.replace("${HOME}", "/root").replace("$HOME", "/root"),
    };
    let path = path.strip_prefix("./").unwrap_or(&path);
    match path.trim_end_matches('/') {
        "" => ".".into(),
        path => path.to_owned(),
    }
}
