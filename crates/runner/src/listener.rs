//! Receives the coordinator's pushes, `worker.spawn_requested`, signed under the repo's
//! secret. A push only triggers a claim: the request comes with the answer to the claim.

use crate::source::Source;
use multiclaude_hybrid_bridge::http::{Answer, Bytes, HeaderMap, Receiver, Refusal, StatusCode};
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::config::HybridConfig;
use multiclaude_hybrid_client::webhook::Webhook;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// The wait between two reads of a repo's configuration.
const CONFIG: Duration = Duration::from_mins(5);
/// The wait after a failed one.
const AGAIN: Duration = Duration::from_secs(10);

/// The repos whose requests may be pushed to this runner.
#[derive(Debug)]
pub struct Pushes {
    sources: Vec<Arc<Source>>,
    /// The URL by which the coordinator reaches this listener.
    public_url: String,
    secrets: Mutex<BTreeMap<Repo, Secrets>>,
}

/// A repo's secret, and the one that it replaced.
#[derive(Debug, Clone)]
struct Secrets {
    now: String,
    before: Option<String>,
}

/// The URL for the pushes of a repo.
pub fn endpoint(public_url: &str, repo: &Repo) -> String {
    format!("{}/spawn/{repo}", public_url.trim_end_matches('/'))
}

impl Pushes {
    /// A receiver that accepts no push before it knows the repo's secret.
    pub fn new(sources: Vec<Arc<Source>>, public_url: String) -> Arc<Self> {
        Arc::new(Self { sources, public_url, secrets: Mutex::default() })
    }

    /// Are this repo's requests pushed to this runner?
    pub fn are_enabled_for(&self, repo: &Repo) -> bool {
        locked(&self.secrets).contains_key(repo)
    }

    fn source(&self, path: &str) -> Option<&Arc<Source>> {
        // A proxy may have prefixed the path of the public URL.
        let (_, repo) = path.rsplit_once("/spawn/")?;
        self.sources.iter().find(|source| source.repo.as_str() == repo)
    }

    /// Follows the secret and the `spawn_endpoint` in a repo's configuration.
    pub async fn follow(self: Arc<Self>, source: Arc<Source>) {
        loop {
            let wait = match source.client.config().await {
                Ok(config) => {
                    let checked = self.check(&source.repo, &config.value);
                    source.pushes.note(source.repo.as_str(), checked);
                    CONFIG
                }
                Err(error) => {
                    source.pushes.begin(source.repo.as_str(), &error);
                    AGAIN.max(error.retry_after().unwrap_or_default())
                }
            };
            sleep(wait).await;
        }
    }

    fn check(&self, repo: &Repo, config: &HybridConfig) -> Result<(), String> {
        let wanted = endpoint(&self.public_url, repo);
        let mut secrets = locked(&self.secrets);
        let problem = match &config.webhook_secret {
            _ if config.spawn_endpoint != wanted => Some(format!(
                "the spawn_endpoint of {repo} is {:?}: set it with multiclaude-hybrid config {repo} \
                 --spawn-endpoint {wanted}",
                config.spawn_endpoint
            )),
            None => Some(
                "only a service token can read the repo's secret: log in with one (multiclaude-hybrid login)"
                    .to_owned(),
            ),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            secrets.remove(repo);
            return Err(problem);
        }
        let now = config.webhook_secret.clone().unwrap_or_default();
        let before = secrets.get(repo).map(|known| known.now.clone()).filter(|known| *known != now);
        let before = before.or_else(|| secrets.get(repo).and_then(|known| known.before.clone()));
        secrets.insert(repo.clone(), Secrets { now, before });
        Ok(())
    }
}

impl Receiver for Pushes {
    fn expects(&self, path: &str) -> bool {
        self.source(path).is_some()
    }

    fn push(&self, path: String, headers: HeaderMap, body: Bytes) -> Answer<'_> {
        Box::pin(async move {
            let refuse =
                |status, text: &str| -> Result<(), Refusal> { Err((status, text.to_owned())) };
            let Some(source) = self.source(&path) else {
                return refuse(StatusCode::NOT_FOUND, "this runner serves no repo at this path");
            };
            let Some(secrets) = locked(&self.secrets).get(&source.repo).cloned() else {
                return refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the repo's secret is not known yet",
                );
            };
            let all = std::iter::once(secrets.now).chain(secrets.before);
            let unauthorized =
                |error: &dyn std::fmt::Display| (StatusCode::UNAUTHORIZED, error.to_string());
            let webhook = Webhook::new(all).map_err(|error| unauthorized(&error))?;
            webhook.verify(&headers, &body).map_err(|error| unauthorized(&error))?;
            source.wake.notify_one();
            Ok(())
        })
    }
}
