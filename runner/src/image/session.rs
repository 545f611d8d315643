//! A session of our own with the builder, for builds that mount secrets.
//!
//! The builder asks back over a connection of its own what it may not be told in the request: the
//! logins of registries, and secrets. The Docker client's session answers only the first. So this
//! one is opened before the build and named in it; the client's own gets another name, under which
//! nobody asks it anything. Secrets go from memory to the builder's memory and into no layer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::HeaderValue;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};
use ulid::Ulid;

use crate::engine::{EngineError, StepSecret};
use crate::image::registry::HUB_KEY;

/// The header that names a session.
const NAME: &str = "x-docker-expose-session-uuid";
/// The header that lists what may be asked over it.
const METHOD: &str = "x-docker-expose-session-grpc-method";
/// What may be asked.
const METHODS: [&str; 3] = [
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/grpc.health.v1.Health/Check",
];
/// Docker Hub, as the builder calls it.
const HUB_HOST: &str = "registry-1.docker.io";
/// Bytes on their way between the engine's connection and what answers it.
const PIPE_BYTES: usize = 64 * 1024;

/// An open session. It ends when this is dropped.
pub(super) struct Session {
    name: String,
    _connection: AbortOnDropHandle<()>,
    _answers: AbortOnDropHandle<()>,
}

/// What the builder may be told.
struct Known {
    secrets: BTreeMap<String, SecretString>,
    credentials: HashMap<String, DockerCredentials>,
}

impl Session {
    /// Opens a session with the engine at `host`.
    pub(super) async fn open(
        host: &str,
        secrets: &[StepSecret],
        credentials: HashMap<String, DockerCredentials>,
    ) -> Result<Self, EngineError> {
        let name = Ulid::generate().to_string();
        let secrets = secrets.iter();
        let known = Arc::new(Known {
            secrets: secrets
                .map(|secret| (secret.name.to_string(), secret.value.clone()))
                .collect(),
            credentials,
        });
        let (mut ours, answered) = tokio::io::duplex(PIPE_BYTES);
        let upgraded = upgrade(host, &name).await.map_err(|error| {
            EngineError::Infrastructure(format!("cannot open a session with the builder: {error}"))
        })?;
        let mut upgraded = TokioIo::new(upgraded);
        let connection = tokio::spawn(async move {
            // However it ends, the builder notices, and says what it misses.
            let _ = tokio::io::copy_bidirectional(&mut upgraded, &mut ours).await;
        });
        Ok(Self {
            name,
            _connection: AbortOnDropHandle::new(connection),
            _answers: AbortOnDropHandle::new(tokio::spawn(answer(known, answered))),
        })
    }

    /// Its name, for the build.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A client whose own sessions get another name than a build asks for.
    pub(super) fn step_aside(docker: Docker) -> Docker {
        let other = Ulid::generate().to_string();
        docker.with_request_modifier(move |mut request| {
            if let (Some(name), Ok(other)) = (
                request.headers_mut().get_mut(NAME),
                HeaderValue::try_from(&other),
            ) {
                *name = other;
            }
            request
        })
    }
}

trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Asks the engine for a connection over which it may ask.
async fn upgrade(host: &str, name: &str) -> anyhow::Result<hyper::upgrade::Upgraded> {
    let (scheme, address) = host.split_once("://").unwrap_or(("unix", host));
    let stream: Box<dyn Pipe> = match scheme {
        "unix" => Box::new(tokio::net::UnixStream::connect(address).await?),
        "tcp" | "http" => {
            let address = address.trim_end_matches('/');
            Box::new(tokio::net::TcpStream::connect(address).await?)
        }
        other => {
            anyhow::bail!("build secrets need an engine at unix:// or tcp://, not at {other}://")
        }
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let mut request = http::Request::post("/session")
        .header(http::header::HOST, "docker")
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "h2c")
        .header(NAME, name);
    for method in METHODS {
        request = request.header(METHOD, method);
    }
    let response = sender.send_request(request.body(String::new())?).await?;
    anyhow::ensure!(
        response.status() == http::StatusCode::SWITCHING_PROTOCOLS,
        "the engine answers with {}",
        response.status()
    );
    Ok(hyper::upgrade::on(response).await?)
}

async fn answer(known: Arc<Known>, connection: DuplexStream) {
    // One connection, and never another: without the rest the server would end at once.
    let incoming = stream::once(async { Ok::<_, std::io::Error>(connection) });
    let served = tonic::transport::Server::builder()
        .add_service(SecretsServer::from_arc(Arc::clone(&known)))
        .add_service(AuthServer::from_arc(Arc::clone(&known)))
        .add_service(HealthServer::from_arc(known))
        .serve_with_incoming(incoming.chain(stream::pending()));
    if let Err(error) = served.await {
        tracing::warn!(%error, "a session with the builder ended");
    }
}

#[tonic::async_trait]
impl Secrets for Known {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let name = &request.get_ref().id;
        // Not found: a mount that is not `required` is then left out.
        let secret = self.secrets.get(name);
        let secret = secret.ok_or_else(|| Status::not_found("no secret of this name"))?;
        let data = secret.expose_secret().as_bytes().to_vec();
        Ok(Response::new(GetSecretResponse { data }))
    }
}

#[tonic::async_trait]
impl Auth for Known {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.get_ref().host.as_str();
        let host = if host == HUB_HOST { HUB_KEY } else { host };
        let found = self.credentials.get(host).cloned().unwrap_or_default();
        let answer = match found.identitytoken {
            Some(secret) => CredentialsResponse {
                username: String::new(),
                secret,
            },
            None => CredentialsResponse {
                username: found.username.unwrap_or_default(),
                secret: found.password.unwrap_or_default(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn fetch_token(
        &self,
        _request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(elsewhere())
    }

    async fn get_token_authority(
        &self,
        _request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(elsewhere())
    }

    async fn verify_token_authority(
        &self,
        _request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(elsewhere())
    }
}

/// The builder then fetches tokens itself, with the credentials.
fn elsewhere() -> Status {
    Status::unimplemented("tokens are fetched by the builder")
}

#[tonic::async_trait]
impl Health for Known {
    async fn check(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only checks are answered"))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only checks are answered"))
    }
}
