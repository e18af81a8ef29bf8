//! `config NAME --name=owner/repo`: what a name of multiclaude's means, where
//! its URL does not say, or says another repo than the team's.

use crate::failure::{Failure, Outcome};
use crate::redact::secrets;
use crate::session::Session;
use crate::settings::{Nickname, origin};
use multiclaude_hybrid_client::protocol::Repo;
use std::borrow::Cow;

/// Notes the repo of multiclaude's `name`. The settings of the repo that the name had before
/// hold for this one, too.
pub(super) fn set(session: &mut Session, name: &str, repo: &Repo) -> Outcome {
    check(name)?;
    let state = session.state()?;
    let local = state.repos.get(name);
    if local.is_none() {
        session.out.warn(&format!(
            "multiclaude knows no {name} (yet); `multiclaude list` shows the names it knows"
        ));
    }
    let nickname =
        Nickname { repo: repo.clone(), origin: local.map(|local| origin(&local.github_url)) };
    let before = session.nicknamed(name, &state).ok();
    let before = before.filter(|before| before != repo);
    let is_before = |other: &String| session.nicknamed(other, &state).ok() == before;
    let another = state.repos.keys().any(|other| other != name && is_before(other));
    // Without a token nothing of this machine can be registered there.
    let ends = |before: &Repo| !another && session.part_in(before).is_none();
    let ended = before.as_ref().is_some_and(ends);
    let carried = session.change(|settings| {
        settings.nicknames.insert(name.to_owned(), nickname);
        let before = before.as_ref()?;
        let decided = settings.repos.get(before.as_str())?.clone();
        let here = settings.repos.entry(repo.to_string()).or_default();
        here.enabled |= decided.enabled;
        here.require_encryption |= decided.require_encryption;
        here.api_endpoint = here.api_endpoint.take().or(decided.api_endpoint);
        if ended {
            settings.repos.remove(before.as_str());
        }
        Some(before.clone())
    })?;
    if let Some(before) = carried {
        session.out.note(&if ended {
            format!("The settings of {before} hold for {repo} now.")
        } else {
            format!(
                "The settings of {before} hold for {repo}, too. To remove those of {before}: \
                 multiclaude-hybrid leave {before}"
            )
        });
    }
    Ok(())
}

/// A team mostly works in the repo that forks come from.
pub(super) fn warn_of_fork(session: &Session, repo: &Repo, nickname: Option<&str>) -> Outcome {
    let state = session.state()?;
    let local = nickname.and_then(|name| Some((name, state.repos.get(name)?)));
    if let Some((name, local)) = local
        && let Some(upstream) = local.upstream().filter(|upstream| upstream != repo)
        && session.part_in(repo).is_none()
    {
        session.out.warn(&format!(
            "{repo} is a fork of {upstream}; if that is the repo that the team works in: \
             multiclaude-hybrid config {name} --name={upstream}"
        ));
    }
    Ok(())
}

/// A name of multiclaude's: that of a directory.
fn check(name: &str) -> Outcome {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let secret = matches!(secrets(name), Cow::Owned(_));
    if (1..=100).contains(&name.len()) && name.chars().all(fits) && !secret {
        return Ok(());
    }
    Err(Failure::usage(format!("{name:?} is not a name that multiclaude gives to a repo"))
        .hint("`multiclaude list` shows its names"))
}
