//! Which repo is meant.

use super::Session;
use crate::failure::{Failure, Outcome};
use crate::multiclaude::State;
use crate::output::line;
use crate::remote::git::{self, Named, SAY};
use crate::remote::host::Host;
use crate::remote::{self, Remote, without_user};
use crate::settings::origin;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::token::Scope;
use std::collections::BTreeSet;

struct Meant {
    repo: Repo,
    nickname: Option<String>,
    /// Where the clone that says so comes from.
    host: Option<Host>,
}

impl Session {
    /// The repo that `given` means (a nickname, `owner/repo` or a URL), or the
    /// one of the working directory, or multiclaude's current one. With its
    /// nickname, if multiclaude knows it.
    pub fn resolve(&self, given: Option<&str>) -> Outcome<(Repo, Option<String>)> {
        let state = self.state()?;
        let meant = match given {
            Some(text) => self.named(text, &state),
            None => self.implied(&state),
        }?;
        if let Some(host) = &meant.host {
            self.check_host(&meant.repo, host, &state)?;
        }
        Ok((meant.repo, meant.nickname))
    }

    /// The repo that multiclaude's name means to the bridge, which asks nobody.
    pub fn served_as(&self, name: &str, state: &State) -> Outcome<Repo> {
        let meant = self.by_nickname(name, state)?;
        if let Some(host) = &meant.host {
            self.check_host(&meant.repo, host, state)?;
        }
        Ok(meant.repo)
    }

    fn named(&self, text: &str, state: &State) -> Outcome<Meant> {
        if state.repos.contains_key(text) || self.said(text, state).is_some() {
            return self.by_nickname(text, state);
        }
        let (repo, host) = match remote::understood(text) {
            Remote::Is { host, repo } => (Some(repo), Some(host)),
            Remote::Nothing | Remote::Unknown(_) => (Repo::parse(text).ok(), None),
        };
        let repo = repo.ok_or_else(|| {
            Failure::usage(format!(
                "{:?} is neither a repo that multiclaude knows nor an owner/repo",
                without_user(text)
            ))
            .hint("`multiclaude list` shows the names it knows; else write owner/repo")
        })?;
        let nickname = self.nickname(&repo, state);
        Ok(Meant { repo, nickname, host })
    }

    fn by_nickname(&self, name: &str, state: &State) -> Outcome<Meant> {
        let repo = self.nicknamed(name, state)?;
        // What a person has said needs no host.
        let host = match self.said(name, state) {
            Some(_) => None,
            None => state.repos.get(name).and_then(|local| {
                match remote::understood(&local.github_url) {
                    Remote::Is { host, .. } => Some(host),
                    Remote::Nothing | Remote::Unknown(_) => None,
                }
            }),
        };
        Ok(Meant { repo, nickname: Some(name.to_owned()), host })
    }

    pub fn nickname(&self, repo: &Repo, state: &State) -> Option<String> {
        let said = self.settings.nicknames.keys();
        // A name that multiclaude does not know (any more) comes last.
        let mut names = state.repos.keys().chain(said);
        let found =
            names.find(|name| self.nicknamed(name, state).is_ok_and(|known| known == *repo));
        found.cloned()
    }

    /// The repo that this machine was told that the name means.
    fn said(&self, name: &str, state: &State) -> Option<&Repo> {
        let said = self.settings.nicknames.get(name)?;
        let local = state.repos.get(name);
        let url = local.map(|local| local.github_url.as_str());
        said.holds(url).then_some(&said.repo)
    }

    /// The repo behind multiclaude's name for it.
    pub fn nicknamed(&self, name: &str, state: &State) -> Outcome<Repo> {
        if let Some(repo) = self.said(name, state) {
            return Ok(repo.clone());
        }
        let url = state.repos.get(name).map_or("", |local| &local.github_url);
        remote::understood(url).repo().ok_or_else(|| {
            Failure::new(format!(
                "multiclaude cloned {name} from {:?}, which names no owner/repo",
                without_user(url)
            ))
            .hint(format!(
                "say which it is, once: multiclaude-hybrid config {name} --name=owner/repo"
            ))
        })
    }

    fn implied(&self, state: &State) -> Outcome<Meant> {
        if let Some(place) = self.place() {
            return self.by_nickname(&place.repo, state);
        }
        if let Some(remote) = git::of_directory()? {
            return self.of_remote(&remote, state);
        }
        if let Some(name) = state.current() {
            return self.by_nickname(name, state);
        }
        // One repo is all there is: that one is meant, by multiclaude too.
        if let Some(Ok(only)) = state.only().map(|name| self.by_nickname(name, state)) {
            return Ok(only);
        }
        let mut known: Vec<Repo> = Vec::new();
        for name in state.repos.keys() {
            known.extend(self.nicknamed(name, state).ok());
        }
        known.extend(self.settings.known_repos());
        let scopes = self.settings.logins.iter().flat_map(|login| &login.repos);
        known.extend(scopes.filter_map(|scope| match scope {
            Scope::Repo(repo) => Some(repo.clone()),
            Scope::Account(_) => None,
        }));
        known.sort();
        known.dedup();
        match known.as_slice() {
            [only] => {
                Ok(Meant { repo: only.clone(), nickname: self.nickname(only, state), host: None })
            }
            _ => Err(Failure::usage("which repo? this directory belongs to none that is known")
                .hint(format!("{SAY}, or change to its directory"))),
        }
    }

    /// The repo that a git repository was cloned from. A remote that is there and is
    /// not understood is asked about: nothing else is meant in its place.
    fn of_remote(&self, remote: &Named, state: &State) -> Outcome<Meant> {
        if let Some(repo) = self.repo_of_url(&remote.url, state) {
            let nickname = self.nickname(&repo, state);
            return Ok(Meant { repo, nickname, host: None });
        }
        match remote::understood(&remote.url) {
            Remote::Is { host, repo } => {
                let nickname = self.nickname(&repo, state);
                Ok(Meant { repo, nickname, host: Some(host) })
            }
            unknown => {
                let same = origin(&remote.url);
                let clones = state.repos.iter();
                let mut clones = clones.filter(|(_, local)| origin(&local.github_url) == same);
                if let Some((name, _)) = clones.next() {
                    return self.by_nickname(name, state);
                }
                let url = match unknown {
                    Remote::Unknown(url) => url,
                    _ => "without a URL".to_owned(),
                };
                Err(Failure::usage(format!(
                    "the git remote {} of this directory ({}) does not name an owner/repo",
                    remote.name,
                    line(&url, 200)
                ))
                .hint(SAY))
            }
        }
    }

    /// The repo that this machine was told that clones from this URL are of.
    fn repo_of_url(&self, url: &str, state: &State) -> Option<Repo> {
        let same = origin(url);
        let said = self.settings.nicknames.iter().filter(|(name, said)| {
            let here = state.repos.get(*name).map(|local| &local.github_url);
            let here = here.filter(|url| said.holds(Some(url)));
            said.origin.as_ref().or(here).is_some_and(|known| origin(known) == same)
        });
        let repos: BTreeSet<_> = said.map(|(_, said)| &said.repo).collect();
        repos.first().filter(|_| repos.len() == 1).map(|repo| (*repo).clone())
    }

    /// Has multiclaude a clone that this means, and does nothing name its repo?
    pub fn is_nameless(&self, given: Option<&str>) -> bool {
        let Ok(state) = self.state() else {
            return false;
        };
        let place = self.place().map(|place| place.repo);
        let name = given.or(place.as_deref());
        let name = name.or_else(|| state.current()).or_else(|| state.only());
        name.is_some_and(|name| {
            state.repos.contains_key(name) && self.nicknamed(name, &state).is_err()
        })
    }
}
