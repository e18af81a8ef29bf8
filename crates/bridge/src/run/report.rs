//! Writes the status file, for `bridge status`.

use super::Bridge;
use crate::clock;
use crate::dirs::write_durably;
use crate::status::{RepoStatus, Status};
use std::sync::atomic::Ordering;

impl Bridge {
    fn status(&mut self) -> Status {
        let now_ms = clock::wall_ms();
        let day = now_ms.div_euclid(86_400_000);
        let total: u64 =
            self.repos.values().map(|served| served.bridge.connection.client().requests()).sum();
        if self.requests.0 != day {
            self.requests = (day, total);
        }
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            node: self.setup.node.clone(),
            settings_error: self.settings_error.clone(),
            daemon: self.shared.daemon_is_up.load(Ordering::Relaxed),
            serve: self.options.serve.iter().cloned().collect(),
            requests_today: total.saturating_sub(self.requests.1),
            unwatched: self
                .shared
                .capture
                .failed_watches()
                .into_iter()
                .map(|(path, reason)| (path.display().to_string(), reason))
                .collect(),
            refused: self.refused.clone(),
            repos: self.repos.values().map(|served| RepoStatus::of(&served.bridge)).collect(),
        }
    }

    pub(super) fn write_status(&mut self) {
        let status = self.status();
        if self.written.as_ref() == Some(&status) {
            return;
        }
        let text = serde_json::to_vec_pretty(&status).unwrap_or_default();
        if write_durably(&self.dirs.status(), &text, 0o600).is_ok() {
            self.written = Some(status);
        }
    }
}
