//! `version`: ours, and those of the coordinators.

use crate::failure::Outcome;
use crate::output::{Look, line};
use crate::session::Session;
use crate::settings::Login;
use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;
use std::time::Duration;

/// How long a coordinator may take to say its version.
const PATIENCE: Duration = Duration::from_secs(3);

/// Show the versions of this program and of the coordinators.
///
/// The coordinators are those that this machine has tokens for. It succeeds even if a coordinator cannot be reached.
#[derive(Debug, Args)]
pub struct VersionArgs {}

#[derive(Debug, Serialize)]
struct Versions {
    version: &'static str,
    coordinators: Vec<Coordinator>,
}

#[derive(Debug, Serialize)]
struct Coordinator {
    url: String,
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl VersionArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        session.timeout = session.timeout.min(PATIENCE);
        let session = &*session;
        let mut logins: Vec<&Login> = Vec::new();
        for login in session.logins() {
            if !logins.iter().any(|known| known.url == login.url) {
                logins.push(login);
            }
        }
        // All at once: one that hangs delays no other.
        let coordinators = join_all(logins.into_iter().map(|login| ask(session, login))).await;
        let versions = Versions { version: env!("CARGO_PKG_VERSION"), coordinators };
        session.out.show(&versions, || text(&versions))
    }
}

async fn ask(session: &Session, login: &Login) -> Coordinator {
    let health = async { Ok(session.client(login)?.health().await?) };
    let found: Outcome<_> = health.await;
    let url = login.url.clone();
    match found {
        Ok(health) => Coordinator { url, version: Some(health.version), error: None },
        Err(failure) => Coordinator { url, version: None, error: Some(failure.message) },
    }
}

fn text(versions: &Versions) -> String {
    let mut lines = vec![format!("multiclaude-hybrid {}", versions.version)];
    for Coordinator { url, version, error } in &versions.coordinators {
        lines.push(match (version, error) {
            (Some(version), _) => format!("coordinator {} at {url}", line(version, 40)),
            (None, error) => {
                let error = line(error.as_deref().unwrap_or_default(), 160);
                format!("coordinator at {url}: {} ({error})", Look::Warning.paint("unknown"))
            }
        });
    }
    lines.join("\n")
}
