//! A line to an engine that goes silent: no bytes come back on it any more, and no end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The line. It is gone when it is dropped.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    /// Cancelled for the connections from before now.
    silence: Arc<Mutex<CancellationToken>>,
    _task: AbortOnDropHandle<()>,
}

impl Line {
    /// A line to the program that listens on this socket.
    pub async fn start(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let silence = Arc::new(Mutex::new(CancellationToken::new()));
        let shared = silence.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let silence = shared.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(carry(near, socket.clone(), silence.clone()));
            }
        });
        Ok(Self {
            address,
            silence,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Silences the connections that are open now; later ones work.
    pub fn silence(&self) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.cancel();
        *silence = CancellationToken::new();
    }
}

async fn carry(near: TcpStream, socket: PathBuf, silence: CancellationToken) {
    let Ok(far) = UnixStream::connect(socket).await else {
        return;
    };
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let there = async {
        // An end is passed on; what breaks is seen by the other way.
        let _ = tokio::io::copy(&mut from_near, &mut to_far).await;
        let _ = to_far.shutdown().await;
    };
    let back = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_far.read(&mut piece).await {
            if silence.is_cancelled() {
                break;
            }
            if to_near.write_all(&piece[..count]).await.is_err() {
                return;
            }
        }
        if silence.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let _ = to_near.shutdown().await;
    };
    tokio::join!(there, back);
}
