//! One call: a request with the token, its repeats, and the answer or error.

use crate::{BaseUrl, Error, Repeat, Retries};
use multiclaude_hybrid_protocol::{Timestamp, retry_after};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept. Servers close it after 5 s (proxies) to 15 s
/// (workerd). A request that is sent at that moment is lost, and a POST may not be
/// repeated.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// The longest wait that an answer can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// How long a call may take, repeats included, unless set.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer that is read. A coordinator's are smaller.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// An answer's body as text, up to [`ANSWER_MAX`].
pub(crate) async fn body(mut response: reqwest::Response, base: &str) -> Result<String, Error> {
    let status = response.status();
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_MAX => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                let text = format!("more than {ANSWER_MAX} bytes");
                return Err(Error::unexpected(base, status, &text, None));
            }
            Ok(None) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => return Err(Error::transport(base, &error)),
        }
    }
}

/// The `Authorization` header, whose value `Debug` hides.
fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .ok()
        .filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(Error::MalformedToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Calls one coordinator with one token. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: BaseUrl,
    pub(crate) retries: Retries,
    timeout: Duration,
    token: HeaderValue,
    requests: Arc<AtomicU64>,
}

/// A request that may be sent several times.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Result<String, String>>,
    pub(crate) repeat: Repeat,
    pub(crate) extra_time: Duration,
}

impl Call {
    /// A call of `path`, which is the part after `/v1`. A POST is [`Repeat::IfNotDone`] unless
    /// it has an idempotency key; everything else is [`Repeat::Always`].
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let repeat = if method == Method::POST { Repeat::IfNotDone } else { Repeat::Always };
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
            repeat,
            extra_time: Duration::ZERO,
        }
    }

    /// Adds a JSON body.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.body = Some(serde_json::to_string(body).map_err(|error| error.to_string()));
        self
    }

    /// Adds a body as it is.
    #[must_use]
    pub fn body(mut self, body: String) -> Self {
        self.body = Some(Ok(body));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds the given idempotency key, or a random one, which makes it safe to repeat.
    #[must_use]
    pub fn key(self, key: Option<&str>) -> Self {
        let key = key.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        self.header("idempotency-key", key).repeat(Repeat::Always)
    }

    /// Sets whether it may be sent twice.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Gives the coordinator this much more time, for a long poll.
    #[must_use]
    pub fn extra_time(mut self, wait: Duration) -> Self {
        self.extra_time = wait;
        self
    }
}

/// An answer with a status of 2xx.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub text: String,
    base: String,
}

impl Reply {
    /// Reads the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text)
            .map_err(|_| Error::unexpected(&self.base, self.status, &self.text, None))
    }

    /// The query of the next page, from `Link: <…?query>; rel="next"`.
    pub fn next_query(&self) -> Option<&str> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let (target, relation) = link.split_once('>')?;
        let (_, query) = target.split_once('?')?;
        relation.contains("rel=\"next\"").then_some(query)
    }
}

impl Client {
    /// A client of the coordinator at the URL `base`.
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Self::at(BaseUrl::parse(base, false)?, token)
    }

    /// A client of the coordinator at `base`.
    pub fn at(base: BaseUrl, token: &str) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("multiclaude-hybrid/", env!("CARGO_PKG_VERSION")))
            // A redirect would send the token, or repeat a POST, elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if base.is_loopback() {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(|error| Error::Setup(error.to_string()))?,
            base,
            timeout: TIMEOUT,
            retries: Retries::default(),
            token: bearer(token)?,
            requests: Arc::default(),
        })
    }

    /// Sets how long a call may take, repeats included; 30 s unless set. A long poll has
    /// its own wait in addition.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how calls are repeated.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The same coordinator and connections with another token.
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        Ok(Self { token: bearer(token)?, ..self.clone() })
    }

    /// The number of requests sent by this client and its clones, repeats and streams
    /// included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The coordinator's URL.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.token.clone())
    }

    /// Makes a call, and repeats it as [`Retries`] says.
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.timeout + call.extra_time;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&call, left()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match self.retries.after(&error, call.repeat, attempt, left(), fastrand::f64()) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call, left: Duration) -> Result<Reply, Error> {
        let mut request = self.request(call.method.clone(), &call.path).timeout(left);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            let body = body.clone().map_err(Error::Setup)?;
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let base = self.base.as_str();
        let broken = |error: reqwest::Error| Error::transport(base, &error);
        let response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = body(response, base).await?;
        if status.is_success() {
            return Ok(Reply { status, headers, text, base: base.to_owned() });
        }
        Err(Error::refused(base, status, &text, retry_after(&headers)))
    }
}

/// How long an answer asks the client to wait, at most [`RETRY_AFTER_MAX`].
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let secs = retry_after::read(text, now)?;
    Some(Duration::from_secs(secs.unsigned_abs()).min(RETRY_AFTER_MAX))
}
