//! This machine: files, multiclaude, its daemon, the shim.

use super::check::{Cause, Check, State};
use crate::bridge;
use crate::crypt;
use crate::files::check_private;
use crate::home::Home;
use crate::output::counted;
use crate::session::Session;
use crate::settings::check_label;
use crate::shim::install;
use crate::shim::login_shell::{self, Seen};
use crate::shim::real::Search;
use multiclaude_hybrid_bridge::unix::path_fault;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The checks that need no network.
pub(super) fn machine(session: &Session) -> Vec<Check> {
    let mut checks = vec![directory(session), credentials(session), keys(session), label(session)];
    checks.extend(multiclaude(session));
    checks.push(shim_seen(session));
    checks.push(bridge(session));
    checks
}

/// The real program. If it is missing, warnings about its repos and its daemon are left
/// out.
fn multiclaude(session: &Session) -> Vec<Check> {
    let real = real();
    let is_there = real.state == State::Good;
    let rest = [repos(session), daemon(session)];
    let rest = rest.into_iter().filter(|check| is_there || check.state != State::Warning);
    std::iter::once(real).chain(rest).collect()
}

/// The checks that need no settings.
pub(super) fn without_settings(session: &Session) -> Vec<Check> {
    let mut checks = vec![directory(session)];
    if let Err(failure) = check_private(&session.home.credentials()) {
        checks.push(Check::failed("credentials", failure));
    }
    checks.extend([real(), daemon(session), shim_seen(session), bridge(session)]);
    checks
}

/// `multiclaude message send` needs it to leave the machine.
fn bridge(session: &Session) -> Check {
    let start =
        "run it: multiclaude-hybrid bridge run; or install it: multiclaude-hybrid bridge install";
    match bridge::running(session) {
        Err(failure) => Check::failed("bridge", failure),
        Ok(None) => Check::warning(
            "bridge",
            "it is not running: `multiclaude message send` reaches agents of this machine only, and nothing \
             comes in",
        )
        .hint(start),
        Ok(Some(status)) => match status.repos.iter().find_map(|repo| repo.reason.as_ref()) {
            None => Check::good("bridge", format!("running, process {}", status.pid)),
            Some(reason) => Check::warning("bridge", format!("running, and offline: {reason}"))
                .because(Cause::Away)
                .hint("multiclaude-hybrid bridge status shows what waits"),
        },
    }
}

fn directory(session: &Session) -> Check {
    let (what, root) = ("multiclaude's home", session.home.multiclaude().root().to_owned());
    let shown = root.display();
    match fs::metadata(&root) {
        Err(_) => Check::warning(what, format!("{shown} does not exist"))
            .hint("multiclaude makes it at its first start: multiclaude start"),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let mode = found.mode() & 0o7777;
            Check::warning(what, format!("{shown} has mode {mode:04o}: others may look into it"))
                .hint(format!("chmod 700 {shown}"))
        }
        Ok(_) => Check::good(what, format!("{shown}, private")),
    }
}

fn credentials(session: &Session) -> Check {
    let what = "credentials";
    match check_private(&session.home.credentials()) {
        Err(failure) => Check::failed(what, failure),
        Ok(()) => match session.settings.logins.len() {
            0 => Check::fault(what, "this machine has no token")
                .because(Cause::NoLogin)
                .hint("get one from your team's admin, then: multiclaude-hybrid login --url URL"),
            count => Check::good(what, counted(count, "token")),
        },
    }
}

fn keys(session: &Session) -> Check {
    match crypt::check(session) {
        Err(failure) => Check::failed("encryption keys", failure),
        Ok(()) => match &session.settings.key {
            Some(key) => Check::good("encryption keys", key.recipient.clone()),
            None => Check::good("encryption keys", "none needed yet"),
        },
    }
}

fn label(session: &Session) -> Check {
    let node = session.settings.node();
    match check_label(&node) {
        Ok(_) => Check::good("this machine's label", node),
        Err(error) => Check::fault("this machine's label", format!("{node:?}: {error}"))
            .hint("multiclaude-hybrid config owner/repo --node=LABEL"),
    }
}

fn real() -> Check {
    match Search::here(Home::SHIM).find() {
        Ok(real) => Check::good("multiclaude", real.path().display().to_string()),
        Err(_) => Check::warning("multiclaude", "it is not on the PATH").hint(
            "install it (https://github.com/dlorenc/multiclaude), or add its directory to the PATH; \
             messages and workers of other machines can be used without it",
        ),
    }
}

fn repos(session: &Session) -> Check {
    match session.state() {
        Err(failure) => Check::failed("multiclaude's repos", failure),
        Ok(state) if state.repos.is_empty() => {
            Check::warning("multiclaude's repos", "it has none yet")
                .hint("multiclaude init https://github.com/owner/repo")
        }
        Ok(state) => {
            let unclear: Vec<_> = state
                .repos
                .keys()
                .filter(|name| session.nicknamed(name, &state).is_err())
                .cloned()
                .collect();
            match unclear.first() {
                None => {
                    let names: Vec<_> = state.repos.keys().cloned().collect();
                    Check::good("multiclaude's repos", names.join(", "))
                }
                Some(name) => Check::warning(
                    "multiclaude's repos",
                    format!("which owner/repo is {}?", unclear.join(", ")),
                )
                .hint(format!("multiclaude-hybrid config {name} --name=owner/repo")),
            }
        }
    }
}

fn daemon(session: &Session) -> Check {
    let (what, socket) = ("multiclaude's daemon", session.home.multiclaude().socket());
    if UnixStream::connect(&socket).is_ok() {
        return Check::good(what, "it runs");
    }
    let (why, what_to_do) = bridge::daemon_is_down(session);
    let check = if path_fault(&socket).is_some() { Check::fault } else { Check::warning };
    check(what, why).hint(what_to_do)
}

fn shim_seen(session: &Session) -> Check {
    let what = "the shim in agents' shells";
    let shell = std::env::var_os("SHELL").map_or_else(|| PathBuf::from("/bin/sh"), PathBuf::from);
    let home = &session.home;
    if !install::is_installed(home) {
        return Check::warning(what, "it is not installed: agents do not see the hybrid commands")
            .hint("multiclaude-hybrid shim install");
    }
    let by_hand = format!("try by hand: {} -l -i -c 'command -v multiclaude'", shell.display());
    match login_shell::seen_by_login_shell(&shell, home) {
        Ok(Seen::Answer(found)) if *found == *home.shim() => {
            Check::good(what, format!("a new {} finds it", shell.display()))
        }
        Ok(Seen::NoAnswer | Seen::TimedOut) => {
            Check::warning(what, format!("a new login {} does not answer", shell.display()))
                .hint(by_hand)
        }
        Ok(Seen::Answer(found)) => Check::fault(
            what,
            match found.to_string_lossy() {
                none if none.is_empty() => format!("a new login {} finds none", shell.display()),
                found => format!("a new login {} finds {found} first", shell.display()),
            },
        )
        .hint(
            "multiclaude-hybrid shim install; then look for lines in the shell's files that put other \
             directories first on the PATH after ours",
        ),
        Err(error) => Check::warning(what, format!("a new login shell did not start: {error}"))
            .hint(by_hand),
    }
}
