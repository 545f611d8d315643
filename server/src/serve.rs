//! The server's life: open, listen, work, drain, close.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, AdminError};
use crate::app::{App, AppError};
use crate::config::{Config, EXIT_CONFIG};
use crate::disk::{DiskFailed, EXIT_DISK};
use crate::store::{self, OpenError, Store, access, runners};
use crate::web::listen::{self, HEAD_MAX};
use crate::{backup, blobs};
use crate::{tasks, token, web};

/// How long running requests may take to end once the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long running ticks may take after that: the longest call to GitHub and a little more.
const TICKS_MAX: Duration = Duration::from_secs(35);
/// How long readers may keep the database open after that.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Why the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory was refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The address was refused.
    #[error(
        "SEAWORTHY_LISTEN: cannot listen on {address}: {source}; choose another address, or stop what uses it"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The settings make no server.
    #[error(transparent)]
    App(#[from] AppError),
    /// The place for caches and artifacts was refused.
    #[error(transparent)]
    Blobs(#[from] blobs::OpenError),
    /// What the first start writes could not be written.
    #[error("cannot prepare the data directory: {0}")]
    Prepare(#[from] AdminError),
    /// The runs of a restored history could not be ended.
    #[error("cannot settle what was restored: {0:#}")]
    Restored(anyhow::Error),
    /// The disk failed while it was serving.
    #[error(transparent)]
    Disk(#[from] DiskFailed),
    /// Serving ended by itself.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
}

impl ServeError {
    /// What the program exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(_) | Self::Restored(_) => admin::EXIT_STORAGE,
            Self::Listen { .. } | Self::App(_) | Self::Blobs(_) => EXIT_CONFIG,
            Self::Prepare(error) => error.exit_code(),
            Self::Disk(_) => EXIT_DISK,
            Self::Io(_) => 1,
        }
    }
}

/// Serves until `shutdown` is cancelled, then drains and closes. `ready` is told the address once
/// calls are answered.
pub async fn serve(
    mut config: Config,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let data = config.data.clone();
    let store = Store::open(&data).await?;
    let wanted = config.listen;
    let listen = |source| ServeError::Listen {
        address: wanted,
        source,
    };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    config.listen = listener.local_addr().map_err(listen)?;
    let address = config.listen;
    let app = App::new(config, store)?;
    prepare_blobs(&app).await?;
    let runners = runners::instances(app.store.reader()).await;
    let runners = runners.map_err(AdminError::from)?;
    app.leases.expect(&runners, app.clock.monotonic());
    let key_file = &app.config.secret_key_file;
    if let Err(error) = admin::secrets::check(app.store.reader(), key_file).await {
        // Jobs without secrets go on, and those with some fail with a sentence.
        tracing::error!(%error, "the secrets cannot be opened");
    }
    admin::note_address(&data, &app.public_url)?;
    #[allow(clippy::print_stderr, reason = "the one line that programs wait for")]
    {
        eprintln!("listening on http://{address}");
    }
    offer_first_link(&app).await?;
    if app.github.is_none() {
        tracing::warn!(
            "GitHub is not connected: set SEAWORTHY_GITHUB_APP_ID and what belongs to it"
        );
    }
    let settled = backup::settle(&app).await.map_err(ServeError::Restored)?;
    if settled > 0 {
        tracing::warn!(
            runs = settled,
            "ended what was running when the backup was made"
        );
    }
    let stop = CancellationToken::new();
    let loops = tasks::start(&app, &stop);
    ready(address);
    let served = tokio::select! {
        served = answer(&app, listener, &shutdown) => served,
        // Neither finished nor marked as clean: what is on the disk is for the next start to say.
        failed = app.store.disk().failed() => return Err(failed.into()),
    };
    stop.cancel();
    if tokio::time::timeout(TICKS_MAX, loops.wait()).await.is_err() {
        tracing::warn!(
            "a loop did not end in time; what it was doing is done again at the next start"
        );
    }
    // A reader that does not let go costs the mark of a clean stop, and nothing else.
    let closing = app.store.close(&data);
    if tokio::time::timeout(CLOSE_MAX, closing).await.is_err() {
        tracing::warn!("the database was still being read; it is checked at the next start");
    }
    tracing::info!("stopped");
    Ok(served?)
}

/// Looks whether caches and artifacts can be kept where the settings say.
async fn prepare_blobs(app: &App) -> Result<(), ServeError> {
    let number = store::blobs::installation(&app.store, token::random_number()).await;
    let number = number.map_err(AdminError::from)?.to_string();
    Ok(app.blobs.prepare(&app.config.objects, &number).await?)
}

/// Answers requests until `shutdown`, and then for a while those that are running.
async fn answer(app: &App, listener: TcpListener, shutdown: &CancellationToken) -> io::Result<()> {
    let (ended, draining) = (shutdown.clone(), app.draining.clone());
    let asked = async move {
        ended.cancelled().await;
        tracing::info!("stopping: nothing new is handed out, running requests are finished");
        draining.cancel();
        tracing::trace!(target: "failpoint", "drain.begun");
    };
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    let serving = listen::answer(web::router(app.clone()), listener, HEAD_MAX, asked);
    tokio::select! {
        served = serving => served,
        () = late => {
            tracing::warn!("some requests did not end in time and are cut off");
            Ok(())
        }
    }
}

/// As long as nobody has ever signed in, whoever starts the server is told how. The link works once,
/// so a second visitor cannot claim the server, and there is no default password to forget.
async fn offer_first_link(app: &App) -> Result<(), ServeError> {
    let claimed = access::is_claimed(app.store.reader(), app.clock.now()).await;
    if claimed.map_err(AdminError::from)? {
        return Ok(());
    }
    let link = admin::new_link(&app.store, &app.public_url).await?;
    #[allow(clippy::print_stderr, reason = "for the person who starts it, once")]
    {
        eprintln!("sign in, once: {}", link.expose_secret());
    }
    Ok(())
}
