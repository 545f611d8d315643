//! git over HTTP, by the real `git http-backend`; and what a push over it sets off.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio_util::io::ReaderStream;

use super::access::{ApiError, Caller, Need};
use super::git::clean_git;
use super::hub::{Hub, lock};
use super::refs::Hook;
use super::router::token_kind;
use super::state::{Person, RepoRecord};

/// One call of a git client: which repository, which service, and the path within.
struct Service<'a> {
    owner: &'a str,
    name: &'a str,
    rest: &'a str,
    push: bool,
}

impl<'a> Service<'a> {
    fn of(uri: &'a Uri) -> Option<Self> {
        let path = uri.path().strip_prefix('/')?;
        let (owner, path) = path.split_once('/')?;
        let (name, rest) = path.split_once('/')?;
        let push = match rest {
            "git-upload-pack" => false,
            "git-receive-pack" => true,
            // Without a service it is the old protocol of plain files, which GitHub has not.
            "info/refs" => match uri.query()? {
                query if query.contains("service=git-upload-pack") => false,
                query if query.contains("service=git-receive-pack") => true,
                _ => return None,
            },
            _ => return None,
        };
        Some(Self {
            owner,
            name: name.strip_suffix(".git").unwrap_or(name),
            rest,
            push,
        })
    }
}

/// Everything that is not the API.
pub(super) async fn serve(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let kind = token_kind(request.headers());
    let number = lock(&hub.log).arrived(request.method().as_str(), path, kind);
    let response = answer(&hub, request).await;
    lock(&hub.log).answered(number, response.status().as_u16());
    response
}

async fn answer(hub: &Arc<Hub>, request: Request) -> Response {
    if lock(&hub.faults).outage {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "GitHub is down.");
    }
    let uri = request.uri().clone();
    let Some(service) = Service::of(&uri) else {
        return plain(
            StatusCode::NOT_FOUND,
            "This stand-in has an API and git, but no pages.",
        );
    };
    let (repo, pusher) = match admit(hub, &service, request.headers()) {
        Ok(admitted) => admitted,
        Err(response) => return *response,
    };
    let pushing = service.push && request.method() == Method::POST;
    let result = match pushing {
        true => push(hub, &repo, &service, pusher.unwrap_or_default(), request).await,
        false => fetch(hub, &repo, &service, request).await,
    };
    result.unwrap_or_else(|error| {
        let text = format!("the stand-in failed: {error:#}");
        plain(StatusCode::INTERNAL_SERVER_ERROR, &text)
    })
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// Whether the caller may, and who pushes. To someone without credentials GitHub says 401 even for
/// what does not exist, so that git asks for them.
fn admit(
    hub: &Hub,
    service: &Service<'_>,
    headers: &HeaderMap,
) -> Result<(RepoRecord, Option<Person>), Box<Response>> {
    let ask = || {
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
        (
            StatusCode::UNAUTHORIZED,
            realm,
            "Authentication required.\n",
        )
            .into_response()
    };
    let caller = match hub.caller(headers) {
        Ok(Caller::Anonymous) if service.push => return Err(Box::new(ask())),
        Ok(caller) => caller,
        Err(_) => return Err(Box::new(ask())),
    };
    let need = if service.push {
        Need::write("contents")
    } else {
        Need::read("contents")
    };
    let refused = |error: ApiError| match (error.status, &caller) {
        (StatusCode::NOT_FOUND, Caller::Anonymous) | (StatusCode::UNAUTHORIZED, _) => ask(),
        (StatusCode::NOT_FOUND, _) => plain(StatusCode::NOT_FOUND, "Repository not found."),
        (StatusCode::MOVED_PERMANENTLY, _) => moved(hub, service),
        (status, _) => plain(status, "Permission to this repository denied."),
    };
    let (repo, _) = hub
        .open(&caller, (service.owner, service.name), need)
        .map_err(|error| Box::new(refused(error)))?;
    let pusher = match caller {
        Caller::Developer(person) => Some(person),
        Caller::Installation(_) => Some(Person::new("seaworthy[bot]")),
        Caller::Anonymous | Caller::App => None,
    };
    Ok((repo, pusher))
}

/// The address of a renamed repository.
fn moved(hub: &Hub, service: &Service<'_>) -> Response {
    let now = lock(&hub.state)
        .find_former(service.owner, service.name)
        .map(RepoRecord::full_name);
    let Some(now) = now else {
        return plain(StatusCode::NOT_FOUND, "Repository not found.");
    };
    let kind = if service.push {
        "git-receive-pack"
    } else {
        "git-upload-pack"
    };
    let query = if service.rest == "info/refs" {
        format!("?service={kind}")
    } else {
        String::new()
    };
    let to = format!("{}/{now}.git/{}{query}", hub.web_url, service.rest);
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response()
}

/// Starts the program with the request in its environment, as CGI has it.
fn backend(
    hub: &Hub,
    repo: &RepoRecord,
    service: &Service<'_>,
    request: &Request,
) -> Result<(Child, ChildStdin, BufReader<ChildStdout>)> {
    let mut command = clean_git();
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", hub.repositories())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}.git/{}", repo.id, service.rest))
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or(""))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let from_headers = [
        ("CONTENT_TYPE", "content-type"),
        ("CONTENT_LENGTH", "content-length"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ];
    for (variable, name) in from_headers {
        if let Some(value) = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
        {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().context("cannot run git http-backend")?;
    let stdin = child.stdin.take().context("the pipe was asked for")?;
    let stdout = child.stdout.take().context("the pipe was asked for")?;
    Ok((child, stdin, BufReader::new(stdout)))
}

/// Feeds the body while the answer is read: git starts to answer before it has read everything.
fn pour(mut stdin: ChildStdin, body: Body) {
    tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(Ok(bytes)) = body.next().await {
            // Git hangs up when it has read enough or found a fault; its answer says which.
            if stdin.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}

/// The head of a CGI answer: `Status:` and headers up to an empty line.
async fn read_head(
    stdout: &mut (impl AsyncBufRead + Unpin),
) -> Result<axum::http::response::Builder> {
    let mut head = Response::builder();
    loop {
        let mut line = String::new();
        let read = stdout.read_line(&mut line).await?;
        let line = line.trim_end();
        anyhow::ensure!(read > 0, "git http-backend ended before its headers did");
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').context("a header has a colon")?;
        let value = value.trim();
        head = match name.eq_ignore_ascii_case("status") {
            true => head.status(value.split(' ').next().unwrap_or("500")),
            false => head.header(name, value),
        };
    }
}

async fn fetch(
    hub: &Hub,
    repo: &RepoRecord,
    service: &Service<'_>,
    request: Request,
) -> Result<Response> {
    let (mut child, stdin, mut stdout) = backend(hub, repo, service, &request)?;
    pour(stdin, request.into_body());
    let head = read_head(&mut stdout).await?;
    // Its end is awaited so that no zombie stays; the stream ends when its output does.
    tokio::spawn(async move { child.wait().await });
    Ok(head.body(Body::from_stream(ReaderStream::new(stdout)))?)
}

/// A push: the refs before and after tell what it did, whatever the client claims. The events are
/// queued before the client has its answer, so that `settled()` after a push knows of them.
async fn push(
    hub: &Arc<Hub>,
    repo: &RepoRecord,
    service: &Service<'_>,
    pusher: Person,
    request: Request,
) -> Result<Response> {
    let _one_push = hub.push_lock(repo.id).await;
    let before = hub.git(repo.id).refs().await?;
    let (mut child, stdin, mut stdout) = backend(hub, repo, service, &request)?;
    pour(stdin, request.into_body());
    let head = read_head(&mut stdout).await?;
    let mut answer = Vec::new();
    stdout.read_to_end(&mut answer).await?;
    child.wait().await?;
    hub.after_push(repo.id, &before, &pusher, Hook::Fire)
        .await?;
    Ok(head.body(Body::from(answer))?)
}
