//! `bridge status`.

use crate::bridge::{daemon_line, running};
use crate::failure::Outcome;
use crate::output::{self, Look, ago, counted, safe};
use crate::session::Session;
use multiclaude_hybrid_bridge::status::{RepoStatus, Status};
use multiclaude_hybrid_client::protocol::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn status(session: &Session) -> Outcome {
    let Some(status) = running(session)? else {
        return session.out.show(&json!({ "running": false }), || {
            "The bridge is not running: agents here do not reach other machines with `multiclaude message \
             send`, and nothing comes in. Start it: multiclaude-hybrid bridge run"
                .to_owned()
        });
    };
    session.out.show(&output::running(&status), || lines(session, &status).join("\n"))
}

fn lines(session: &Session, status: &Status) -> Vec<String> {
    let running = Look::Good.paint("running");
    let started = ago(Timestamp(status.started_ms));
    let daemon = daemon_line(session, status.daemon);
    let serves = match status.serve.as_slice() {
        [] => String::new(),
        roles => format!(", serves {}", roles.join(", ")),
    };
    let mut lines = vec![
        format!("bridge       {running}, process {}, started {started}", status.pid),
        safe(&format!("this machine {}{serves}", status.node)),
        format!("multiclaude  {daemon}"),
        format!("requests     {} today", status.requests_today),
    ];
    if let Some(error) = &status.settings_error {
        lines.push(format!("settings     {}: {}", Look::Bad.paint("cannot be read"), safe(error)));
    }
    let refused = status.refused.iter();
    lines.extend(refused.map(|(name, reason)| safe(&format!("not served   {name}: {reason}"))));
    let unwatched = status.unwatched.iter();
    lines.extend(unwatched.map(|(dir, reason)| {
        safe(&format!("not watched  {dir}: {reason}; changes are found by looking"))
    }));
    if status.repos.is_empty() && status.refused.is_empty() {
        lines.push(
            "No repo is served. Turn hybrid mode on for one that multiclaude has: multiclaude-hybrid \
             config <repo> --hybrid=true"
                .to_owned(),
        );
    }
    for repo in &status.repos {
        lines.push(String::new());
        lines.push(head(repo));
        lines.extend(details(repo).iter().map(|line| safe(line)));
    }
    lines
}

fn head(repo: &RepoStatus) -> String {
    let about = safe(&format!("{} ({}), {}", repo.nickname, repo.repo, repo.url));
    match &repo.reason {
        None => match &repo.unread {
            None => format!("{about}, {} by {}", Look::Good.paint("online"), safe(&repo.delivery)),
            Some(reason) => {
                format!(
                    "{about}, {}: {}",
                    Look::Bad.paint("online, but the repo cannot be read"),
                    safe(reason)
                )
            }
        },
        Some(reason) => {
            let since = ago(Timestamp(repo.since_ms));
            format!("{about}, {} since {since}: {}", Look::Bad.paint("offline"), safe(reason))
        }
    }
}

fn details(repo: &RepoStatus) -> Vec<String> {
    let mut lines = Vec::new();
    for agent in &repo.agents {
        let waiting = match agent.unacknowledged {
            0 => String::new(),
            count => format!(", {} not acknowledged", counted(count, "message")),
        };
        lines.push(format!("  {} is {} here, {}{waiting}", agent.name, agent.local, agent.status));
    }
    for (local, reason) in &repo.not_registered {
        lines.push(format!("  {local} is not registered: {reason}"));
    }
    for role in &repo.stood_down {
        lines.push(format!(
            "  {role} stands down here; to bring it back: multiclaude-hybrid stand-up {role}"
        ));
    }
    for (name, out) in &repo.outgoing {
        let reason = out.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        lines.push(format!("  {} on the way to {name}{reason}", counted(out.waiting, "message")));
    }
    let mut held = BTreeMap::<_, usize>::new();
    for message in &repo.held {
        *held.entry((&message.to, &message.reason)).or_default() += 1;
    }
    for ((to, reason), count) in held {
        lines.push(format!("  {} for {to} held: {reason}", counted(count, "message")));
    }
    for (name, reason) in &repo.unlinked {
        lines.push(format!("  {name} is not reached with multiclaude message send: {reason}"));
    }
    if repo.unsent > 0 {
        lines.push(format!(
            "  {} neither sent nor returned, because the sender has ended or the file cannot be read: \
             ~/.multiclaude-hybrid/bridge/repos/{}/unsent",
            counted(repo.unsent, "message"),
            repo.repo
        ));
    }
    lines
}
