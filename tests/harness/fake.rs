//! A server in the place of a coordinator that is none, or an evil one.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A server whose answers the test chooses.
#[derive(Debug)]
pub struct Fake {
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts one: `answer` gets each request's path with its query.
    pub async fn start(answer: impl Fn(&str) -> Response<Body> + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let token = request.headers().get("authorization");
                let token = token.map(|value| value.to_str().unwrap().to_owned());
                log.lock().unwrap().push(token.unwrap_or_default());
                answer(&request.uri().to_string())
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// The `Authorization` headers that it has got.
    pub fn tokens(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
