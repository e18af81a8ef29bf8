//! A small HTTP server for pushes, with limits on connections, bodies and times. A
//! [`Receiver`] handles the pushes.

use crate::trouble::Trouble;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
pub use hyper::StatusCode;
pub use hyper::body::Bytes;
use hyper::body::Incoming;
pub use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The largest push: a message of 64 KiB, every byte of it escaped, and the rest.
const BODY_MAX: usize = 512 * 1024;
/// The most connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);

/// Why a push is refused: the status and the text of the answer.
pub type Refusal = (StatusCode, String);

/// The answer to a push.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Handles pushes.
pub trait Receiver: Send + Sync + 'static {
    /// Are pushes expected at this path? It is checked before the body is read.
    fn expects(&self, path: &str) -> bool;

    /// Handles a push. `Ok` is answered with 200.
    fn push(&self, path: String, headers: HeaderMap, body: Bytes) -> Answer<'_>;
}

/// A server for pushes; it ends when this is dropped.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Starts to listen on `address`.
    ///
    /// # Errors
    /// The address is in use, or does not belong to this machine.
    pub async fn start(address: SocketAddr, receiver: Arc<dyn Receiver>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let refused = Arc::new(Trouble::new("pushes are refused", "pushes are accepted again"));
        let trouble = Trouble::new("no connections are accepted", "connections are accepted again");
        let task = tokio::spawn(async move {
            loop {
                // Accept only as many connections as can be served.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => {
                        trouble.end("listener");
                        stream
                    }
                    Err(error) => {
                        trouble.begin("listener", error);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let (receiver, refused) = (Arc::clone(&receiver), Arc::clone(&refused));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (receiver, refused) = (Arc::clone(&receiver), Arc::clone(&refused));
                        async move {
                            let answer = answer(receiver.as_ref(), &refused, request).await;
                            Ok::<_, Infallible>(answer)
                        }
                    });
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(REQUEST)
                        .max_buf_size(64 * 1024)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(slot);
                });
            }
        });
        Ok(Self { task })
    }
}

async fn answer(
    receiver: &dyn Receiver,
    refused: &Trouble,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (status, text) = match push(receiver, request).await {
        Ok(()) => {
            refused.end("listener");
            (StatusCode::OK, String::new())
        }
        Err((status, text)) => {
            // Anybody may ask for other paths.
            if status != StatusCode::NOT_FOUND {
                refused.begin("listener", format!("{status}: {text}"));
            }
            (status, text)
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

async fn push(receiver: &dyn Receiver, request: Request<Incoming>) -> Result<(), Refusal> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    if !receiver.expects(request.uri().path()) {
        return refuse(StatusCode::NOT_FOUND, "no pushes are expected here");
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "pushes must use POST");
    }
    let (head, body) = request.into_parts();
    let body = match timeout(REQUEST, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than any push");
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "the body is incomplete"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    receiver.push(head.uri.path().to_owned(), head.headers, body).await
}
