//! A repo's webhook secrets, sealed in its configuration: they sign pushes to its
//! `spawn_endpoint`, and callbacks.

use crate::error::ApiError;
use crate::store::configs::Stored;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::seal::KeyRing;
use multiclaude_hybrid_core::secrets;
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::webhook::Secret;

/// The place that a sealed secret is bound to.
fn place(repo: &Repo) -> String {
    format!("{repo}|config|webhook_secret")
}

/// The secrets that are valid at `now`, the newest first. Secrets whose master key is gone
/// are left out.
pub fn valid(keys: &KeyRing, stored: &Stored, now: Ms) -> Vec<Secret> {
    let place = place(&stored.config.repo);
    secrets::valid(&stored.secrets, now)
        .filter_map(|held| keys.open(&held.sealed, &place).ok())
        .map(Secret::from_bytes)
        .collect()
}

/// The newest secret, if it can be opened.
pub fn newest(keys: &KeyRing, stored: &Stored) -> Option<Secret> {
    let held = stored.secrets.first()?;
    let bytes = keys.open(&held.sealed, &place(&stored.config.repo)).ok()?;
    Some(Secret::from_bytes(bytes))
}

/// Seals a secret of a repo.
pub fn seal(
    keys: &KeyRing,
    repo: &Repo,
    secret: &Secret,
    random: [u8; 12],
) -> Result<String, ApiError> {
    keys.seal(secret.as_bytes(), &place(repo), random)
        .map_err(|error| ApiError::fields(vec![FieldError::new("webhook_secret", error)]))
}
