//! A bad network between two programs: a proxy that cuts connections wherever they happen to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// No connection lives longer than so many bytes.
const BYTES_MAX: usize = 6_000;

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct BadNetwork {
    /// `http://127.0.0.1:PORT`, in front of the server.
    pub url: String,
    cuts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl BadNetwork {
    /// Starts in front of that address. The same seed cuts at the same places.
    pub async fn start(server: SocketAddr, seed: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = cuts.clone();
        let task = tokio::spawn(async move {
            let mut number = seed;
            while let Ok((client, _)) = listener.accept().await {
                number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let budget = (number >> 33) % BYTES_MAX;
                tokio::spawn(carry(client, server, budget, counted.clone()));
            }
        });
        Ok(Self { url, cuts, task })
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until the budget is used up, and then carries none, not even an end.
async fn carry(client: TcpStream, server: SocketAddr, budget: usize, cuts: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let left = AtomicUsize::new(budget);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let is_cut = tokio::select! {
        is_cut = copy(from_client, to_server, &left) => is_cut,
        is_cut = copy(from_server, to_client, &left) => is_cut,
    };
    if is_cut {
        cuts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether it ended because the budget was used up.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: &AtomicUsize,
) -> bool {
    let mut buffer = [0; 512];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let before = left.load(Ordering::Relaxed);
        let passes = count.min(before);
        left.store(before - passes, Ordering::Relaxed);
        if to.write_all(&buffer[..passes]).await.is_err() {
            return false;
        }
        if passes < count {
            return true;
        }
    }
}
