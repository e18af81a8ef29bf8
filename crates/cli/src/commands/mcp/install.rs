//! Adds our MCP server to Claude Code's settings of this user, and removes it.

use crate::claude_code;
use crate::failure::Outcome;
use crate::output::confirm;
use crate::program::this_program;
use crate::session::Session;
use serde_json::json;

/// The note if the person was not asked, or has declined.
const BY_HAND: &str = "Claude Code does not start our MCP server: agents have no tools for messages, and messages \
are typed into their sessions. To add it: multiclaude-hybrid mcp install";
/// The same where there is an entry already.
const AS_IT_WAS: &str = "Claude Code starts our MCP server with another program or other arguments, and the entry \
was not changed. To correct it: multiclaude-hybrid mcp install --yes. The change:";

/// Adds the server, after asking; a failure does not stop the caller. Returns a note for
/// the user. `agreed`: do not ask.
pub(crate) fn added(session: &Session, agreed: bool) -> String {
    add(session, agreed).unwrap_or_else(|failure| {
        format!("Claude Code's settings were not changed: {}", failure.message)
    })
}

/// Adds the server, after asking; returns a note for the user.
fn add(session: &Session, agreed: bool) -> Outcome<String> {
    let us = this_program()?;
    let Some(change) = claude_code::add(&session.home, &us)? else {
        return Ok("Claude Code starts our MCP server in every session.".to_owned());
    };
    let question = || {
        format!(
            "Messages reach agents best through an MCP server that Claude Code starts in every session of \
             yours.\nIn sessions that are no agents of a repo in hybrid mode it ends at once. The change of {}:\n\
             {}\nMake this change?",
            change.path.display(),
            change.diff()
        )
    };
    if !agreed && !confirm(&question())? {
        return Ok(match claude_code::installed(&session.home)? {
            None => BY_HAND.to_owned(),
            Some(_) => format!("{AS_IT_WAS}\n{}", change.diff()),
        });
    }
    change.apply()?;
    Ok(format!(
        "Changed {}:\n{}\nSessions that run already get it when they are restarted; multiclaude-hybrid doctor says how",
        change.path.display(),
        change.diff()
    ))
}

/// Removes the server; returns a note for the user.
pub(crate) fn remove(session: &Session) -> Outcome<Option<String>> {
    let Some(change) = claude_code::remove(&session.home)? else {
        return Ok(None);
    };
    change.apply()?;
    Ok(Some(format!("Changed {}:\n{}", change.path.display(), change.diff())))
}

pub(super) fn install(session: &Session, agreed: bool) -> Outcome {
    let note = add(session, agreed)?;
    let installed = claude_code::installed(&session.home)?;
    session.out.show(&json!({ "installed": installed, "note": note }), || note.clone())
}

pub(super) fn uninstall(session: &Session) -> Outcome {
    let note =
        remove(session)?.unwrap_or_else(|| "Claude Code does not know our MCP server.".to_owned());
    session.out.show(&json!({ "installed": null, "note": note }), || note.clone())
}
