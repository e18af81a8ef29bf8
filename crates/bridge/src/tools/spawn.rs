//! Requests a worker: whether the task may be sent, and whether a runner will take it.

use crate::clock::wall_ms;
use crate::hints;
use multiclaude_hybrid_client::protocol::config::{Encrypt, HybridConfig};
use multiclaude_hybrid_client::protocol::spawn::{NewSpawn, SpawnRequest, SpawnStatus, SpawnedBy};
use multiclaude_hybrid_client::protocol::{AgentName, Timestamp};
use multiclaude_hybrid_client::{Error, RepoClient};
use uuid::Uuid;

/// A runner that has not asked for work for this long counts as away, in ms.
const RUNNER_AWAY_MS: i64 = 10 * 60 * 1000;

/// Requests a worker on behalf of `name`; returns the request, with a warning if no runner
/// may take it. `required`: this machine sends nothing unencrypted.
pub(super) async fn spawn(
    repo: &RepoClient,
    name: &AgentName,
    task: &str,
    required: bool,
) -> Result<(SpawnRequest, Option<String>), String> {
    let text = |error: Error| hints::explained(&error);
    let config = repo.config().await.map_err(text)?.value;
    if let Some(reason) = unencrypted(&config, required) {
        return Err(format!(
            "{reason}. If nothing in the task is secret, your user can ask: multiclaude-hybrid work --remote \
             --unencrypted \"task\""
        ));
    }
    let spawned_by = Some(SpawnedBy::Agent(name.clone()));
    let request = NewSpawn { spawned_by, ..NewSpawn::new(task) };
    let key = Uuid::new_v4().to_string();
    let request = repo.spawn(&request, Some(&key)).await.map_err(text)?;
    let warning = no_runner(&request, &config, Timestamp(wall_ms()));
    Ok((request, warning))
}

/// Why a task, which cannot be encrypted, must not be sent; `None` if it may.
pub fn unencrypted(config: &HybridConfig, required: bool) -> Option<String> {
    let who = match (required, config.encrypt) {
        (true, _) => "this machine sends nothing unencrypted (--require-encryption)",
        (false, Some(Encrypt::Always)) => {
            "all messages of this repo are encrypted (--encrypt=always)"
        }
        (false, _) => return None,
    };
    Some(format!(
        "no worker was asked for: {who}, and a task cannot be encrypted, because any runner may take it"
    ))
}

/// A warning, if the request waits, no runner has asked for work lately, and requests are
/// not pushed.
pub fn no_runner(request: &SpawnRequest, config: &HybridConfig, now: Timestamp) -> Option<String> {
    let lately = |seen: Timestamp| now.0 - seen.0 < RUNNER_AWAY_MS;
    if request.status != SpawnStatus::Pending
        || !config.spawn_endpoint.is_empty()
        || request.runner_seen_at.is_some_and(lately)
    {
        return None;
    }
    Some(format!(
        "no runner has asked for work in {} for 10 minutes: the request waits until one does",
        request.repo
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_client::protocol::Repo;
    use serde_json::json;

    fn config() -> HybridConfig {
        HybridConfig::default_of(Repo::parse("acme/app").unwrap())
    }

    #[test]
    fn a_pending_request_is_warned_about_ten_minutes_after_the_last_claim() {
        let request = |status: &str, seen: Option<i64>| {
            let request = json!({
                "id": "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b", "repo": "acme/app", "task": "t",
                "spawned_by": "user:dan", "priority": 0, "status": status,
                "created_at": "2026-11-22T12:00:00.000Z",
            });
            let request: SpawnRequest = serde_json::from_value(request).unwrap();
            SpawnRequest { runner_seen_at: seen.map(Timestamp), ..request }
        };
        let now = Timestamp(10_000_000);
        let mut config = config();
        let warned = |status, seen, config: &HybridConfig| {
            no_runner(&request(status, seen), config, now).is_some()
        };
        assert!(warned("pending", None, &config));
        assert!(warned("pending", Some(now.0 - RUNNER_AWAY_MS), &config));
        assert!(!warned("pending", Some(now.0 - RUNNER_AWAY_MS + 1), &config));
        assert!(!warned("in_progress", None, &config));
        // With a spawn_endpoint, requests are pushed.
        config.spawn_endpoint = "https://runner.example.com".to_owned();
        assert!(!warned("pending", None, &config));
    }

    #[test]
    fn a_task_is_sent_only_if_plain_text_is_allowed() {
        let mut config = config();
        assert_eq!(unencrypted(&config, false), None);
        assert!(unencrypted(&config, true).is_some());
        config.encrypt = Some(Encrypt::WhenPossible);
        assert_eq!(unencrypted(&config, false), None);
        config.encrypt = Some(Encrypt::Always);
        assert!(unencrypted(&config, false).is_some());
    }
}
