//! Which repo a git remote names, by git's own rules for URLs.
//!
//! - [`parse`] reads a text alone; [`resolve`] also asks git, whose
//!   configuration may give a text another meaning (`insteadOf`).
//! - [`host`]: which spellings are the same host. [`git`]: what git says of a
//!   directory and of a URL.
//!
//! A URL that is not understood is never skipped: it is [`Remote::Unknown`], and
//! the user is asked.

mod credentials;
pub mod git;
pub mod host;

pub use credentials::without_user;
use host::Host;
use multiclaude_hybrid_client::protocol::Repo;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    Is {
        host: Host,
        repo: Repo,
    },
    /// Something that is not `owner/repo`: the URL, without credentials; empty if there is none.
    Unknown(String),
}

impl Remote {
    pub fn repo(self) -> Option<Repo> {
        match self {
            Self::Is { repo, .. } => Some(repo),
            Self::Unknown(_) => None,
        }
    }
}

/// Reads a URL as git would: `https://host/o/r(.git)`, `ssh://…`, `git@host:o/r`,
/// `alias:o/r`. Everything that has not exactly the two parts owner and repo is
/// unknown: paths, GitLab's subgroups, Azure.
pub fn parse(url: &str) -> Remote {
    let url = url.trim();
    let found = place(url).and_then(|(host, path)| Some((host, repo_of_path(path)?)));
    match found {
        Some((host, repo)) => Remote::Is { host, repo },
        None => Remote::Unknown(without_user(url)),
    }
}

/// Reads a URL; what may stand for another one is looked up in git's
/// configuration first.
pub fn resolve(url: &str) -> Remote {
    let read = parse(url);
    let sure = match &read {
        // `work:o/r` may be a host of ssh's, or an abbreviation of git's.
        Remote::Is { .. } => url.contains("://") || url.contains('@'),
        Remote::Unknown(_) => !url.contains(':'),
    };
    if sure {
        return read;
    }
    match git::expanded(url) {
        Some(expanded) if expanded != url.trim() => parse(&expanded),
        _ => read,
    }
}

/// The host of a URL, and the path on it.
fn place(url: &str) -> Option<(Host, &str)> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return scp(url);
    };
    let is_ssh = match scheme.to_ascii_lowercase().as_str() {
        "ssh" | "git+ssh" | "ssh+git" => true,
        "https" | "http" | "git" => false,
        _ => return None,
    };
    let (authority, path) = rest.split_once('/')?;
    Some((Host::of_authority(authority, is_ssh)?, path))
}

/// `[user@]host:path`, in brackets if the host has a colon of its own.
fn scp(url: &str) -> Option<(Host, &str)> {
    let (before, path) = url.split_once(':')?;
    // git takes it for a path, or hands it to another program.
    if before.contains('/') || path.starts_with(':') && !before.ends_with('[') {
        return None;
    }
    let bracketed = url.strip_prefix('[');
    let bracketed = bracketed.or_else(|| url.split_once("@[").map(|(_, rest)| rest));
    if let Some((inside, rest)) = bracketed.and_then(|rest| rest.split_once(']')) {
        return Some((Host::of_authority(inside, true)?, rest.strip_prefix(':')?));
    }
    let is_drive = before.len() == 1 && path.starts_with(['/', '\\']);
    (!is_drive).then(|| Some((Host::of_authority(before, true)?, path)))?
}

fn repo_of_path(path: &str) -> Option<Repo> {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    // Azure: `org/_git` is no repo, the name would follow.
    let repo = Repo::parse(path).ok()?;
    (!repo.as_str().ends_with("/_git")).then_some(repo)
}

#[cfg(test)]
mod tests;
