//! A proxy between a client and the coordinator, which breaks on demand.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Default)]
struct State {
    /// Connections of an earlier number are dead.
    epoch: AtomicU32,
    refuse_streams: AtomicBool,
    snap_streams: AtomicBool,
    requests: Mutex<Vec<u8>>,
    answers: Mutex<Vec<u8>>,
}

/// The proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    state: Arc<State>,
    /// The API's base, through this.
    pub url: String,
}

impl Proxy {
    /// Forwards everything to `port`.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/v1", listener.local_addr().unwrap().port());
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    forward(client, server, &shared);
                }
            }
        });
        Self { state, url }
    }

    /// The connections that there are go on in appearance, and nothing passes
    /// any more; new ones work.
    pub fn go_silent(&self) {
        self.state.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Answers requests for a stream itself, as a proxy that knows none does.
    pub fn refuse_streams(&self, refuse: bool) {
        self.state.refuse_streams.store(refuse, Ordering::SeqCst);
    }

    /// Breaks streams as soon as they are open.
    pub fn snap_streams(&self, snap: bool) {
        self.state.snap_streams.store(snap, Ordering::SeqCst);
    }

    /// How often requests had `text` in them so far.
    pub fn requested(&self, text: &str) -> usize {
        count(&self.state.requests, text)
    }

    /// How often answers had `text` in them so far.
    pub fn answered(&self, text: &str) -> usize {
        count(&self.state.answers, text)
    }
}

fn count(passed: &Mutex<Vec<u8>>, text: &str) -> usize {
    String::from_utf8_lossy(&passed.lock().unwrap()).matches(text).count()
}

fn forward(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let epoch = state.epoch.load(Ordering::SeqCst);
    tokio::spawn(requests(
        from_client,
        to_server,
        Arc::clone(&to_client),
        Arc::clone(state),
        epoch,
    ));
    tokio::spawn(answers(from_server, to_client, Arc::clone(state), epoch));
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    back: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    state: Arc<State>,
    epoch: u32,
) {
    let mut buffer = vec![0; 65536];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if state.epoch.load(Ordering::SeqCst) != epoch {
            continue;
        }
        let text = String::from_utf8_lossy(&buffer[..size]);
        let refused = state.refuse_streams.load(Ordering::SeqCst);
        if refused && text.starts_with("GET ") && text.contains("/stream HTTP/1.1") {
            let page = "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\nWhat";
            let _ = back.lock().await.write_all(page.as_bytes()).await;
            continue;
        }
        if to.write_all(&buffer[..size]).await.is_err() {
            break;
        }
        state.requests.lock().unwrap().extend_from_slice(&buffer[..size]);
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    state: Arc<State>,
    epoch: u32,
) {
    let mut buffer = vec![0; 65536];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if state.epoch.load(Ordering::SeqCst) != epoch {
            continue;
        }
        let heard = &buffer[..size];
        state.answers.lock().unwrap().extend_from_slice(heard);
        let opened = buffer[..size].starts_with(b"HTTP/1.1 101");
        let snap = opened && state.snap_streams.load(Ordering::SeqCst);
        // A first message may come with the head.
        let head = buffer[..size].windows(4).position(|end| end == b"\r\n\r\n");
        let end = head.filter(|_| snap).map_or(size, |head| head + 4);
        if to.lock().await.write_all(&buffer[..end]).await.is_err() || snap {
            break;
        }
    }
    let _ = to.lock().await.shutdown().await;
}
