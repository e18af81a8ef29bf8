//! `~/.multiclaude/state.json`: read only, replaced by multiclaude in one step.

use crate::failure::{Failure, Outcome, io};
use crate::home::Home;
use multiclaude_hybrid_client::protocol::Repo;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use url::Url;

/// What multiclaude knows.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct State {
    /// By nickname.
    #[serde(default, deserialize_with = "or_null")]
    pub repos: BTreeMap<String, LocalRepo>,
    /// The nickname of the repo that commands mean by default.
    #[serde(default)]
    current_repo: Option<String>,
}

/// A repo that multiclaude works on.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LocalRepo {
    /// Where it was cloned from.
    #[serde(default)]
    pub github_url: String,
    /// Its agents' tmux session.
    #[serde(default)]
    pub tmux_session: String,
    /// By name.
    #[serde(default, deserialize_with = "or_null")]
    pub agents: BTreeMap<String, LocalAgent>,
    /// Whose fork it is, if it is one.
    #[serde(default, deserialize_with = "or_null")]
    pub fork_config: Fork,
}

/// What multiclaude knows of a clone that may be a fork.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fork {
    #[serde(rename = "is_fork")]
    forked: bool,
    upstream_owner: String,
    upstream_repo: String,
}

impl LocalRepo {
    /// The repo that it is a fork of.
    pub fn upstream(&self) -> Option<Repo> {
        let fork = &self.fork_config;
        let name = format!("{}/{}", fork.upstream_owner, fork.upstream_repo);
        fork.forked.then(|| Repo::parse(&name).ok())?
    }
}

/// An agent of this machine.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LocalAgent {
    /// `supervisor`, `worker`, `workspace`, …
    #[serde(default)]
    pub r#type: String,
}

/// What Go writes for a map that was never made.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl State {
    /// The name that commands mean by default; it may be that of one that is gone.
    pub fn current(&self) -> Option<&str> {
        let name = self.current_repo.as_deref();
        name.filter(|name| self.repos.contains_key(*name))
    }

    /// The only name there is.
    pub fn only(&self) -> Option<&str> {
        let mut names = self.repos.keys();
        names.next().filter(|_| self.repos.len() == 1).map(String::as_str)
    }

    /// Reads it; empty if multiclaude has none yet.
    pub fn load(home: &Home) -> Outcome<Self> {
        let path = home.state();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io("read", &path)(error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("{} is damaged: {error}", path.display()))
                .hint("it is multiclaude's own: see `multiclaude repair`")
        })
    }
}

/// `owner/repo` of a repo's URL on any forge: `https://host/o/r(.git)`,
/// `git@host:o/r.git`, `ssh://…`. A plain path has no owner.
pub fn repo_of_url(url: &str) -> Option<Repo> {
    let url = url.trim().trim_end_matches('/');
    let path = match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "https" | "http" | "ssh" | "git") => {
            parsed.host_str()?;
            parsed.path().trim_start_matches('/').to_owned()
        }
        // git@host:owner/repo.git
        _ => {
            let (host, path) = url.split_once(':')?;
            let plain = host.contains('/') || path.starts_with('/') || !host.contains('@');
            (!plain).then(|| path.to_owned())?
        }
    };
    let path = path.strip_suffix(".git").unwrap_or(&path);
    Repo::parse(path).ok()
}

/// A URL without the name and the password that may be in it.
pub fn without_user(url: &str) -> String {
    match Url::parse(url.trim()) {
        Ok(mut parsed) if parsed.has_host() => {
            // Both can be set where there is a host.
            let _ = (parsed.set_username(""), parsed.set_password(None));
            parsed.to_string()
        }
        _ => url.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repo_is_known_by_its_url() {
        for url in [
            "https://github.com/Acme/App",
            "https://github.com/acme/app.git",
            "https://github.com/acme/app/",
            "https://dan:token@github.com/acme/app.git",
            "git@github.com:acme/app.git",
            "git@github.com:acme/app",
            "ssh://git@github.com/acme/app.git",
            "git://github.com/acme/app.git",
        ] {
            assert_eq!(repo_of_url(url).unwrap().as_str(), "acme/app", "{url}");
        }
    }

    #[test]
    fn a_name_is_meant_if_it_is_there_or_the_only_one() {
        let state = |text: &str| serde_json::from_str::<State>(text).unwrap();
        let two = state(r#"{"repos": {"a": {}, "b": {}}, "current_repo": "b"}"#);
        assert_eq!((two.current(), two.only()), (Some("b"), None));
        let gone = state(r#"{"repos": {"a": {}}, "current_repo": "b"}"#);
        assert_eq!((gone.current(), gone.only()), (None, Some("a")));
        assert_eq!(state("{}").only(), None);
    }

    #[test]
    fn a_path_has_no_owner() {
        for url in ["/srv/git/app.git", "../app", "app", "file:///srv/acme/app", "C:/acme/app", ""]
        {
            assert_eq!(repo_of_url(url), None, "{url}");
        }
    }
}
