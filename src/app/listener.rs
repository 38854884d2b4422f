//! Connections inward, each with its bounds: how many, how long a request's head may take, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::head_timer::HeadTimer;

/// Connections that are served at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a request's head may take to arrive; also how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long to leave the listener alone after it had nothing to give, as when no descriptor was free.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Serves until the end, and then until every request that was begun is answered.
pub(super) async fn serve(listener: TcpListener, router: Router, end: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().acquire_owned().await else { break };
        let connection = graceful.watch(connection(stream, router.clone()));
        tokio::spawn(async move {
            let _permit = permit;
            // A caller that hangs up or stammers is no news.
            let broken = connection.await.err();
            tracing::debug!(error = broken.as_ref().map(|error| error as &dyn std::error::Error), "a connection ended");
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn connection(stream: TcpStream, router: Router) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    // Answers are small and whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(HeadTimer::new(HEAD_WITHIN))
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
