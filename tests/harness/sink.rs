//! An endpoint for pushes, which gives the answers that a test chooses.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use axum::serve::ListenerExt as _;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The answer to one push.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status, with these headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// This status, after the test has notified it.
    Held(u16, Arc<Notify>),
    /// Nothing, ever.
    Hang,
    /// 200 with a body that does not end.
    Endless,
    /// This status and content type, and a short body whose length is not said before.
    Chunked(u16, &'static str),
    /// This status and content type at once; then a body, one byte in a second.
    Dribble(u16, &'static str),
}

impl Answer {
    /// This status and nothing else.
    pub fn status(code: u16) -> Self {
        Self::Status(code, Vec::new(), String::new())
    }
}

/// A push as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    pub fn id(&self) -> String {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of the message in it.
    pub fn text(&self) -> String {
        self.json()["data"]["body"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks it with the published library.
    pub fn verify(&self, secret: &str) -> bool {
        let webhook = standardwebhooks::Webhook::new(secret).unwrap();
        webhook.verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// Answers still to be given, then 204 for ever.
    script: Mutex<VecDeque<Answer>>,
    /// Connections that were opened to it.
    connections: AtomicUsize,
    /// The base that pushes are forwarded to; its answers are returned.
    forward_to: Mutex<Option<String>>,
}

/// An endpoint that records every push and gives the answers that the test chooses.
#[derive(Debug, Clone)]
pub struct Sink {
    shared: Arc<Shared>,
    /// Where to push.
    pub url: String,
}

impl Sink {
    /// Listens; answers `script` in turn, then 204.
    pub async fn start(script: Vec<Answer>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.script.lock().unwrap().extend(script);
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
        let counted = Arc::clone(&shared);
        let listener = listener.tap_io(move |_| {
            counted.connections.fetch_add(1, Relaxed);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, url }
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// The texts of all messages received, in order.
    pub fn texts(&self) -> Vec<String> {
        self.received().iter().map(Received::text).collect()
    }

    /// Waits for `count` pushes.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        crate::eventually(&format!("{count} pushes"), || async {
            Some(self.received()).filter(|received| received.len() >= count)
        })
        .await
    }

    /// Forwards pushes to this base from now on.
    pub fn forward_to(&self, base: &str) {
        *self.shared.forward_to.lock().unwrap() = Some(base.to_owned());
    }

    /// Answers these next.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().unwrap().extend(answers);
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let forward_to = shared.forward_to.lock().unwrap().clone();
    if let Some(base) = forward_to {
        let code = forward(format!("{base}{uri}"), headers.clone(), body.clone()).await;
        shared.script.lock().unwrap().push_back(Answer::status(code));
    }
    shared.received.lock().unwrap().push(Received {
        at: Instant::now(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let next = shared.script.lock().unwrap().pop_front();
    respond(next.unwrap_or_else(|| Answer::status(204))).await
}

/// Sends a push on, and returns the status of the answer.
async fn forward(url: String, headers: HeaderMap, body: Bytes) -> u16 {
    let push = reqwest::Client::new().post(url).headers(headers).body(body);
    push.send().await.unwrap().status().as_u16()
}

async fn respond(answer: Answer) -> Response<Body> {
    let response = |code: u16| Response::builder().status(code);
    match answer {
        Answer::Status(code, headers, body) => {
            let all = headers.into_iter();
            let head = all.fold(response(code), |head, (name, value)| head.header(name, value));
            head.body(Body::from(body)).unwrap()
        }
        Answer::Chunked(code, kind) => {
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("ok")]);
            response(code).header("content-type", kind).body(Body::from_stream(chunks)).unwrap()
        }
        Answer::Dribble(code, kind) => {
            response(code).header("content-type", kind).body(dribbled()).unwrap()
        }
        Answer::Held(code, release) => {
            release.notified().await;
            response(code).body(Body::empty()).unwrap()
        }
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Response::new(Body::empty())
        }
        Answer::Endless => {
            let chunks =
                futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1024]));
            Response::new(Body::from_stream(chunks))
        }
    }
}

/// A body of which one byte comes in a second.
fn dribbled() -> Body {
    let bytes = br#"{"status":"acked"}"#.iter().copied();
    Body::from_stream(futures_util::stream::unfold(bytes, |mut rest| async {
        let byte = rest.next()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(vec![byte]), rest))
    }))
}

/// A port that accepts connections and resets them.
pub async fn refusing_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Linger of zero: the close is a reset.
            let _ = stream.set_zero_linger();
        }
    });
    port
}
