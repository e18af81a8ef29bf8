//! A proxy between a client and the coordinator, which breaks on demand.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
                    tokio::spawn(forward(client, server, Arc::clone(&shared)));
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

/// Forwards one connection until either side closes it.
async fn forward(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let epoch = state.epoch.load(Ordering::SeqCst);
    let (mut request, mut answer) = (vec![0; 65536], vec![0; 65536]);
    loop {
        let (passed, from_client) = tokio::select! {
            read = client.read(&mut request) => (read.map(|size| &request[..size]), true),
            read = server.read(&mut answer) => (read.map(|size| &answer[..size]), false),
        };
        let Ok(passed @ [_, ..]) = passed else { return };
        if state.epoch.load(Ordering::SeqCst) != epoch {
            continue;
        }
        let sent = if from_client {
            let refuses = state.refuse_streams.load(Ordering::SeqCst);
            let text = String::from_utf8_lossy(passed);
            if refuses && text.starts_with("GET ") && text.contains("/stream HTTP/1.1") {
                let page = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\nWhat";
                client.write_all(page).await
            } else {
                state.requests.lock().unwrap().extend_from_slice(passed);
                server.write_all(passed).await
            }
        } else {
            state.answers.lock().unwrap().extend_from_slice(passed);
            let opened = passed.starts_with(b"HTTP/1.1 101");
            if opened && state.snap_streams.load(Ordering::SeqCst) {
                // A first message may come with the head, and does not pass.
                let head = passed.windows(4).position(|end| end == b"\r\n\r\n");
                let _ =
                    client.write_all(&passed[..head.map_or(passed.len(), |head| head + 4)]).await;
                return;
            }
            client.write_all(passed).await
        };
        if sent.is_err() {
            return;
        }
    }
}
