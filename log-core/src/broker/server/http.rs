//! A page or two over HTTP/1.1, for Prometheus and for whoever has to know whether the broker works.
//!
//! ```text
//!   GET /metrics        what is counted            metrics
//!   GET /health/live    200: the process answers
//!   GET /health/ready   200, or 503 and why not    open, not stopping, not fenced
//! ```
//! One request a connection. Its head has a limit and so has the time for all of it; of the connections there are few,
//! and others wait until they are accepted. There is nothing secret on these pages but the names of topics and groups, and
//! no authentication: the address is one of this machine unless open listeners were asked for.

use super::context::Shared;
use super::metrics;
use crate::broker::Broker;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once.
const CONNECTIONS_MAX: usize = 8;
/// Bytes of a request.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How long all of a connection may take.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the pages until the server shuts down.
pub(super) async fn serve(shared: Arc<Shared>, listening: TcpListener) {
    let (places, mut connections) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), JoinSet::new());
    let mut stopping = shared.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listening, &places) => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = connections.join_next() => continue,
        };
        let Some((place, stream)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            // Who is too slow is cut off, and who breaks off has its reasons.
            let _ = timeout(CONNECTION_TIME, converse(&shared, stream)).await;
            drop(place);
        });
    }
}

async fn accept(
    listening: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let place = places.clone().acquire_owned().await.ok()?;
    let (stream, _) = listening.accept().await.ok()?;
    Some((place, stream))
}

async fn converse(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let head = head(&mut stream).await?;
    let (status, kind, body) = match head.as_deref().map(request) {
        None => ("431 Request Header Fields Too Large", TEXT, "the request is too long\n".to_owned()),
        Some(None) => ("400 Bad Request", TEXT, "this is not a request of HTTP/1\n".to_owned()),
        Some(Some((method, path))) => answer(shared, method, path).await,
    };
    let is_head = head.as_deref().is_some_and(|head| head.starts_with(b"HEAD "));
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    if !is_head {
        response.push_str(&body);
    }
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

/// The bytes up to the empty line; `None` if they are too many.
async fn head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Ok(None);
        }
        let room = (HEAD_BYTES_MAX - head.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(head))
}

/// Method and path of a request.
fn request(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version, end) = (words.next()?, words.next()?, words.next()?, words.next());
    let is_request = version.starts_with("HTTP/1.") && target.starts_with('/') && end.is_none();
    is_request.then(|| (method, target.split('?').next().unwrap_or(target)))
}

async fn answer(shared: &Shared, method: &str, path: &str) -> (&'static str, &'static str, String) {
    if !["GET", "HEAD"].contains(&method) {
        return ("405 Method Not Allowed", TEXT, "there is only something to read here\n".to_owned());
    }
    match path {
        "/metrics" => ("200 OK", PROMETHEUS, metrics::page(shared).await),
        "/health/live" => ("200 OK", TEXT, "live\n".to_owned()),
        "/health/ready" => match unready(shared, &shared.broker) {
            None => ("200 OK", TEXT, "ready\n".to_owned()),
            Some(why) => ("503 Service Unavailable", TEXT, format!("{why}\n")),
        },
        _ => ("404 Not Found", TEXT, "/metrics, /health/live, /health/ready\n".to_owned()),
    }
}

/// Why clients should go elsewhere.
fn unready(shared: &Shared, broker: &Broker) -> Option<String> {
    if *shared.stopping.borrow() {
        return Some("the server shuts down".to_owned());
    }
    broker.write_failure().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_of_three_words() {
        assert_eq!(request(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Some(("GET", "/metrics")));
        assert_eq!(request(b"HEAD /health/live?x=1 HTTP/1.0\r\n\r\n"), Some(("HEAD", "/health/live")));
        for bad in
            [&b"\r\n\r\n"[..], b"GET /\r\n\r\n", b"GET http://x/ HTTP/1.1\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"\xff"]
        {
            assert_eq!(request(bad), None);
        }
    }
}
