//! `bridge install` and `bridge uninstall`.

use super::run::{RunArgs, run_words};
use crate::commands::mcp;
use crate::failure::{Failure, Outcome, io};
use crate::output::{confirm, counted};
use crate::program::this_program;
use crate::service::Service;
use crate::session::Session;
use crate::spelled::Spelled;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::names;
use multiclaude_hybrid_bridge::spool::Links;
use multiclaude_hybrid_client::protocol::Repo;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const STARTS: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    run: Spelled<RunArgs>,
    /// Keep it running after you log out, without asking
    #[arg(long)]
    linger: bool,
    /// Add our MCP server to your Claude Code settings, without asking
    #[arg(long)]
    mcp: bool,
}

impl InstallArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        self.run.args.serve.check()?;
        let mut lines = install(session, run_words(&self.run.words), self.linger)?;
        lines.push(mcp::added(session, self.mcp));
        session.out.show(&json!({ "installed": true, "notes": lines }), || lines.join("\n"))
    }
}

/// Installs and starts the service; notes for the user.
/// `words` is the command line of `multiclaude-hybrid`.
pub(crate) fn install(
    session: &Session,
    mut words: Vec<String>,
    linger: bool,
) -> Outcome<Vec<String>> {
    let service = Service::of(&session.home);
    service.check()?;
    let dirs = session.home.bridge();
    if dirs.is_running() && !service.is_installed() {
        return Err(Failure::new("a bridge that is not a service is running here")
            .hint("stop it first: `multiclaude-hybrid bridge status` shows its process"));
    }
    let us = this_program()?;
    if let Some(only) = &session.only {
        words.retain(|word| !word.starts_with("--as="));
        words.push(format!("--as={only}"));
    }
    service.install(&us, &words)?;
    let until = Instant::now() + STARTS;
    while !dirs.is_running() {
        if Instant::now() > until {
            return Err(Failure::new("the bridge is installed, and does not start")
                .hint("see why: multiclaude-hybrid bridge logs; or run it by hand: multiclaude-hybrid bridge run"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut lines = vec![
        format!("The bridge is installed ({}) and started.", service.path().display()),
        "See it: multiclaude-hybrid bridge status".to_owned(),
    ];
    if service.lingers() == Some(false) {
        let question = "Keep the bridge running after you log out (loginctl enable-linger)?";
        if linger || confirm(question)? {
            service.linger()?;
            lines.push("It keeps running after you log out.".to_owned());
        } else {
            lines.push(
                "It ends when you log out. To keep it running: loginctl enable-linger".to_owned(),
            );
        }
    }
    Ok(lines)
}

/// Restores plain multiclaude: no service, no links.
pub(super) fn uninstall(session: &Session) -> Outcome {
    let service = Service::of(&session.home);
    let was_installed = service.uninstall()?;
    let mcp = mcp::remove(session)?;
    let dirs = session.home.bridge();
    if dirs.is_running() {
        return Err(Failure::new("a bridge that is not a service is still running here").hint(
            "stop it, then run this again: `multiclaude-hybrid bridge status` shows its process",
        ));
    }
    let state = session.state()?;
    let (mut waiting, mut down) = (0, Vec::new());
    for (name, here) in &session.settings.repos {
        let Ok(repo) = Repo::parse(name) else {
            continue;
        };
        waiting += remove_links(session, &repo)?;
        let nickname = session.nickname(&repo, &state).unwrap_or_else(|| name.clone());
        down.extend(
            here.stood_down
                .iter()
                .map(|role| format!("multiclaude-hybrid stand-up {role} --repo {nickname}")),
        );
    }
    let value = json!({ "was_installed": was_installed, "waiting": waiting, "stand_up": down });
    session.out.show(&value, || {
        let mut lines = vec![if was_installed {
            "The bridge is stopped and removed. multiclaude's own messages go on as before."
                .to_owned()
        } else {
            "The bridge was not installed; its links are removed.".to_owned()
        }];
        lines.extend(mcp.clone());
        if waiting > 0 {
            lines.push(format!(
                "{} for other machines not sent yet. They are kept, and leave when a bridge runs \
                 again.",
                counted(waiting, "message")
            ));
        }
        if !down.is_empty() {
            lines.push(format!(
                "Roles that stand down here stay down. To bring them back: {}",
                down.join("; ")
            ));
        }
        lines.join("\n")
    })
}

/// Removes the links of a repo; returns the number of messages that are not sent yet.
pub(crate) fn remove_links(session: &Session, repo: &Repo) -> Outcome<usize> {
    let dirs = session.home.bridge().repo(repo);
    let state = session.state()?;
    if let Some(nickname) = session.nickname(repo, &state) {
        let messages = session.home.multiclaude().messages(&nickname);
        let links = Links::new(messages.clone(), dirs.clone());
        links.remove_all().map_err(io("remove the links in", &messages))?;
    }
    let taken = names(&dirs.out()).unwrap_or_default();
    let taken: usize =
        taken.iter().map(|name| names(&dirs.out().join(name)).map_or(0, |found| found.len())).sum();
    let queues = multiclaude_hybrid_bridge::spool::recipients(&dirs).unwrap_or_default();
    let count = |name: &String| {
        multiclaude_hybrid_bridge::spool::entries(&dirs, name).map_or(0, |found| found.len())
    };
    Ok(taken + queues.iter().map(count).sum::<usize>())
}
