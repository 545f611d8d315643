//! Connections: how many there may be, and how long one may take to say what it wants. What follows
//! the head of a request is bounded where it is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pipelines::limits::CONNECTIONS_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A head that has not come by then does not come; and so long a connection may rest between two
/// requests.
pub(crate) const HEAD_MAX: Duration = Duration::from_secs(30);
/// Largest head, and how much of a body is held while nobody reads it.
const BUFFER_BYTES: usize = 128 * 1024;

/// Answers requests until `asked`, and then those that are running.
pub(crate) async fn answer(
    router: Router,
    mut listener: TcpListener,
    head_max: Duration,
    asked: impl Future<Output = ()>,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (connections, closing) = (TaskTracker::new(), CancellationToken::new());
    tokio::pin!(asked);
    loop {
        // Whoever finds no place waits in the system's queue, which is bounded too.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (Listener::accept(&mut listener).await.0, slot)
        };
        let (stream, slot) = tokio::select! {
            next = next => next,
            () = &mut asked => break,
        };
        let (router, closing) = (router.clone(), closing.clone());
        connections.spawn(async move {
            one(stream, router, head_max, closing).await;
            drop(slot);
        });
    }
    drop(listener);
    closing.cancel();
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn one(stream: TcpStream, router: Router, head_max: Duration, closing: CancellationToken) {
    // Small answers must not wait for more to send: claims are small, and waited for.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_max)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that answers everything with nothing, and where it is.
    async fn server(
        stop: CancellationToken,
        head_max: Duration,
    ) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(|| async {});
        let asked = async move { stop.cancelled().await };
        let serving = tokio::spawn(async move {
            answer(router, listener, head_max, asked).await.unwrap();
        });
        (address, serving)
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_to_its_end_is_cut_off() {
        let (address, _serving) =
            server(CancellationToken::new(), Duration::from_millis(200)).await;
        for begun in [
            "",
            "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            // It ends, although this side would wait for ever.
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(
                answer.starts_with("HTTP/1.1 200"),
                begun.ends_with("\r\n\r\n")
            );
        }
    }

    #[tokio::test]
    async fn what_rests_does_not_hold_up_the_end() {
        let stop = CancellationToken::new();
        let (address, serving) = server(stop.clone(), Duration::from_secs(3600)).await;
        let _resting = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        serving.await.unwrap();
    }
}
