//! `.claude/sessions/<pid>.json`: how others find a running session.

use crate::process;
use crate::profile::Profile;
use chrono::Utc;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The files of this process there. They are left behind if it is killed.
#[derive(Debug)]
pub(crate) struct Registry {
    entry: Value,
    file: Option<PathBuf>,
    /// A secret that stands beside the entry; readers of the directory skip it.
    key: Option<PathBuf>,
}

impl Registry {
    /// Prepares the entry; nothing is written yet.
    pub(crate) fn new(
        home: &Path,
        cwd: &Path,
        profile: &Profile,
        tmux: &str,
        inbox: Option<&Path>,
    ) -> Self {
        let pid = std::process::id();
        let now = Utc::now().timestamp_millis();
        let start = process::start(pid);
        let name = cwd.file_name().unwrap_or_default().to_string_lossy();
        let mut entry = json!({
            "pid": pid, "sessionId": "", "cwd": cwd, "startedAt": now, "procStart": start,
            "version": profile.version, "peerProtocol": 1, "kind": "interactive", "entrypoint": "cli",
            "name": format!("{name}-{:02x}", pid & 0xff), "nameSource": "derived", "status": "idle",
        });
        let directory = home.join(".claude/sessions");
        let _ = fs::create_dir_all(&directory);
        let mut key = None;
        if let Some(inbox) = inbox {
            entry["tmux"] = tmux.into();
            entry["messagingSocketPath"] = inbox.to_string_lossy().into();
            let path = directory.join(format!("{pid}.{}.key", Uuid::new_v4().simple()));
            if let Ok(mut file) =
                File::options().create_new(true).write(true).mode(0o600).open(&path)
            {
                let secret =
                    json!({ "peerToken": Uuid::new_v4().simple().to_string(), "procStart": start });
                let _ = file.write_all(secret.to_string().as_bytes());
                key = Some(path);
            }
        }
        let file = profile.registers().then(|| directory.join(format!("{pid}.json")));
        Self { entry, file, key }
    }

    /// Writes it in place, as the real program does, if something has changed.
    pub(crate) fn set(&mut self, session: &str, status: &str, waiting_for: Option<&str>) {
        let waiting_for = waiting_for.map_or(Value::Null, Value::from);
        let entry = &mut self.entry;
        let changed = entry["sessionId"] != session
            || entry["status"] != status
            || entry["waitingFor"] != waiting_for;
        if !changed {
            return;
        }
        entry["sessionId"] = session.into();
        entry["status"] = status.into();
        entry["updatedAt"] = Utc::now().timestamp_millis().into();
        entry["statusUpdatedAt"] = entry["updatedAt"].clone();
        if waiting_for.is_null() {
            entry.as_object_mut().map(|entry| entry.remove("waitingFor"));
        } else {
            entry["waitingFor"] = waiting_for;
        }
        if let Some(file) = &self.file {
            let _ = fs::write(file, entry.to_string());
        }
    }

    pub(crate) fn remove(&mut self) {
        for file in [self.file.take(), self.key.take()].into_iter().flatten() {
            let _ = fs::remove_file(file);
        }
    }
}
