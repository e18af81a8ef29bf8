//! One call: a request with the token, its answer or error, and the repeats in
//! between.

use crate::{BaseUrl, Error, Repeat, RepoClient, Retries};
use multiclaude_hybrid_protocol::{Repo, Timestamp, retry_after};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept. Servers close it after 5 s (proxies) to
/// 15 s (workerd); a request that crosses with that, or follows it before anybody
/// has noticed, is lost, and a POST may not be made again.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// The longest wait that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// How long a call may take, repeats included, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a [`Client`] is made.
#[derive(Debug, Clone)]
pub struct Builder {
    base: BaseUrl,
    timeout: Duration,
    retries: Retries,
}

impl Builder {
    /// The time that a call may take, repeats included; 30 s unless set. What
    /// waits on purpose (a long poll) has its wait on top.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How calls are repeated.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// A client that speaks for `token`.
    pub fn build(self, token: &str) -> Result<Client, Error> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("multiclaude-hybrid/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the token, or a POST's meaning, elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if self.base.is_loopback() {
            http = http.no_proxy();
        }
        Ok(Client {
            http: http.build().map_err(|error| Error::Setup(error.to_string()))?,
            base: self.base,
            timeout: self.timeout,
            retries: self.retries,
            token: bearer(token)?,
            requests: Arc::default(),
        })
    }
}

/// Bytes of an answer that are read: more than any that a coordinator gives.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// An answer's body, as text. A stranger's could be endless.
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

/// The header's value, which `Debug` hides.
fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .ok()
        .filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(Error::MalformedToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A coordinator, and the token to talk to it with. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: BaseUrl,
    pub(crate) retries: Retries,
    timeout: Duration,
    token: HeaderValue,
    requests: Arc<AtomicU64>,
}

/// A request to be made, perhaps several times.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Result<String, String>>,
    pub(crate) repeat: Repeat,
    pub(crate) on_top: Duration,
}

impl Call {
    /// A call of `path`, which is what follows `/v1`. A POST counts each time
    /// ([`Repeat::Once`]) unless it has an idempotency key, everything else is
    /// [`Repeat::Safe`].
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let repeat = if method == Method::POST { Repeat::Once } else { Repeat::Safe };
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
            repeat,
            on_top: Duration::ZERO,
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.body = Some(serde_json::to_string(body).map_err(|error| error.to_string()));
        self
    }

    /// With a body as it is.
    #[must_use]
    pub fn body(mut self, body: String) -> Self {
        self.body = Some(Ok(body));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Under an idempotency key: it may be repeated then.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key).repeat(Repeat::Safe)
    }

    /// May it be made twice?
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// The coordinator may take this much longer.
    #[must_use]
    pub fn on_top(mut self, wait: Duration) -> Self {
        self.on_top = wait;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
    base: String,
}

impl Reply {
    /// The body as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text)
            .map_err(|_| Error::unexpected(&self.base, self.status, &self.text, None))
    }

    /// The query of the next page, from `Link: <…?query>; rel="next"`.
    pub fn next_query(&self) -> Option<&str> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let (target, relation) = link.split_once('>')?;
        relation
            .contains("rel=\"next\"")
            .then(|| target.split_once('?'))
            .flatten()
            .map(|(_, query)| query)
    }
}

impl Client {
    /// A client of the coordinator at `base` with everything as usual.
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Self::builder(BaseUrl::parse(base, false)?).build(token)
    }

    /// A client of the coordinator at `base`.
    pub fn builder(base: BaseUrl) -> Builder {
        Builder { base, timeout: TIMEOUT, retries: Retries::default() }
    }

    /// The same coordinator and connections with another token.
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        Ok(Self { token: bearer(token)?, ..self.clone() })
    }

    /// Requests made so far by this client and its clones, repeats and streams
    /// included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Where the coordinator is.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The resources of one repo.
    pub fn repo(&self, repo: &Repo) -> RepoClient {
        RepoClient { client: self.clone(), path: format!("/repos/{repo}") }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.token.clone())
    }

    /// Makes a call, and makes it again as [`Retries`] says.
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.timeout + call.on_top;
        let mut attempt = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.once(&call, left).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let dice = fastrand::f64();
            match self.retries.after(&error, call.repeat, attempt, left, dice) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
            attempt += 1;
        }
    }

    async fn once(&self, call: &Call, left: Duration) -> Result<Reply, Error> {
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
            let base = base.to_owned();
            return Ok(Reply { status, headers, text, base });
        }
        Err(Error::refused(base, status, &text, retry_after(&headers)))
    }
}

/// How long an answer asks to wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let secs = retry_after::read(text, now)?;
    Some(Duration::from_secs(secs.unsigned_abs()).min(RETRY_AFTER_MAX))
}
