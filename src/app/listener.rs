//! Connections inward, each with its bounds: how many, how long a request's head may take, and an orderly end.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::head_timer::HeadTimer;
use crate::api::KeySets;
use crate::engine::Engine;

/// Connections that are served at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a request's head may take to arrive; also how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long to leave the listener alone after it had nothing to give, as when no descriptor was free.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Where requests come in: those for key sets go the short way.
#[derive(Clone)]
pub(super) struct Doors {
    pub(super) engine: Arc<Engine>,
    pub(super) router: Router,
}

/// Serves until the end, and then until every request that was begun is answered.
pub(super) async fn serve(listener: TcpListener, doors: Doors, end: CancellationToken) {
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
        let connection = graceful.watch(connection(stream, doors.clone()));
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

fn connection(stream: TcpStream, doors: Doors) -> impl GracefulConnection<Error = hyper::Error> + Send {
    // Answers are small and whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let (key_sets, router) = (KeySets::new(doors.engine), TowerToHyperService::new(doors.router));
    let service = service_fn(move |request: Request<Incoming>| match key_sets.answer(&request) {
        Some(answer) => Either::Left(future::ready(Ok(answer))),
        None => Either::Right(router.call(request)),
    });
    http1::Builder::new()
        .timer(HeadTimer::new(HEAD_WITHIN))
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
}
