//! The repo that a command is about.

use super::Session;
use crate::failure::{Failure, Outcome};
use crate::multiclaude::State;
use crate::output::line;
use crate::remote::git::{self, NAME_THE_REPO, Named};
use crate::remote::host::Host;
use crate::remote::{self, Remote, without_user};
use crate::settings::origin;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::token::Scope;
use std::collections::BTreeSet;

struct Found {
    repo: Repo,
    nickname: Option<String>,
    /// The host of the clone that names it.
    host: Option<Host>,
}

impl Session {
    /// The repo that `given` means (a nickname, `owner/repo` or a URL), or the
    /// one of the working directory, or multiclaude's current one. With its
    /// nickname, if multiclaude knows it.
    pub fn resolve(&self, given: Option<&str>) -> Outcome<(Repo, Option<String>)> {
        let state = self.state()?;
        let found = match given {
            Some(text) => self.named(text, &state),
            None => self.implied(&state),
        }?;
        let repo = self.checked(&found, &state)?;
        Ok((repo, found.nickname))
    }

    /// The repo of multiclaude's name, for the bridge, which asks no person.
    pub fn served_as(&self, name: &str, state: &State) -> Outcome<Repo> {
        self.checked(&self.by_nickname(name, state)?, state)
    }

    fn checked(&self, found: &Found, state: &State) -> Outcome<Repo> {
        if let Some(host) = &found.host {
            self.check_host(&found.repo, host, state)?;
        }
        Ok(found.repo.clone())
    }

    fn named(&self, text: &str, state: &State) -> Outcome<Found> {
        if state.repos.contains_key(text) || self.configured(text, state).is_some() {
            return self.by_nickname(text, state);
        }
        let (repo, host) = match remote::resolve(text) {
            Remote::Is { host, repo } => (Some(repo), Some(host)),
            Remote::Unknown(_) => (Repo::parse(text).ok(), None),
        };
        let repo = repo.ok_or_else(|| {
            Failure::usage(format!(
                "{:?} is neither a repo that multiclaude knows nor an owner/repo",
                without_user(text)
            ))
            .hint("`multiclaude list` shows the names it knows; else write owner/repo")
        })?;
        let nickname = self.nickname(&repo, state);
        Ok(Found { repo, nickname, host })
    }

    fn by_nickname(&self, name: &str, state: &State) -> Outcome<Found> {
        let nickname = Some(name.to_owned());
        if let Some(repo) = self.configured(name, state) {
            // A name that a person has configured needs no host.
            return Ok(Found { repo: repo.clone(), nickname, host: None });
        }
        let url = state.repos.get(name).map_or("", |local| &local.github_url);
        match remote::resolve(url) {
            Remote::Is { host, repo } => Ok(Found { repo, nickname, host: Some(host) }),
            Remote::Unknown(_) => Err(Failure::new(format!(
                "multiclaude cloned {name} from {:?}, which names no owner/repo",
                without_user(url)
            ))
            .hint(format!("name it once: multiclaude-hybrid config {name} --name=owner/repo"))),
        }
    }

    pub fn nickname(&self, repo: &Repo, state: &State) -> Option<String> {
        let configured = self.settings.nicknames.keys();
        // A name that multiclaude does not know (any more) comes last.
        let mut names = state.repos.keys().chain(configured);
        let found =
            names.find(|name| self.nicknamed(name, state).is_ok_and(|known| known == *repo));
        found.cloned()
    }

    /// The repo that `config --name` gave the name.
    fn configured(&self, name: &str, state: &State) -> Option<&Repo> {
        let nickname = self.settings.nicknames.get(name)?;
        let local = state.repos.get(name);
        let url = local.map(|local| local.github_url.as_str());
        nickname.holds(url).then_some(&nickname.repo)
    }

    /// The repo of multiclaude's name for it.
    pub fn nicknamed(&self, name: &str, state: &State) -> Outcome<Repo> {
        Ok(self.by_nickname(name, state)?.repo)
    }

    fn implied(&self, state: &State) -> Outcome<Found> {
        if let Some(place) = self.place() {
            return self.by_nickname(&place.repo, state);
        }
        if let Some(remote) = git::of_directory()? {
            return self.of_remote(&remote, state);
        }
        if let Some(name) = state.current() {
            return self.by_nickname(name, state);
        }
        // multiclaude, too, takes its only repo.
        if let Some(Ok(only)) = state.only().map(|name| self.by_nickname(name, state)) {
            return Ok(only);
        }
        let named = state.repos.keys().filter_map(|name| self.nicknamed(name, state).ok());
        let scopes = self.settings.logins.iter().flat_map(|login| &login.repos);
        let of_logins = scopes.filter_map(|scope| match scope {
            Scope::Repo(repo) => Some(repo.clone()),
            Scope::Account(_) => None,
        });
        let known: BTreeSet<_> =
            named.chain(self.settings.known_repos()).chain(of_logins).collect();
        match known.first() {
            Some(only) if known.len() == 1 => {
                Ok(Found { repo: only.clone(), nickname: self.nickname(only, state), host: None })
            }
            _ => Err(Failure::usage(
                "no repo is given, and this directory belongs to none that is known",
            )
            .hint(format!("{NAME_THE_REPO}, or change to its directory"))),
        }
    }

    /// The repo that a git repository was cloned from. A remote that is there and is
    /// not understood is asked about: no other rule applies then.
    fn of_remote(&self, remote: &Named, state: &State) -> Outcome<Found> {
        if let Some(repo) = self.repo_of_url(&remote.url, state) {
            let nickname = self.nickname(&repo, state);
            return Ok(Found { repo, nickname, host: None });
        }
        match remote::resolve(&remote.url) {
            Remote::Is { host, repo } => {
                let nickname = self.nickname(&repo, state);
                Ok(Found { repo, nickname, host: Some(host) })
            }
            Remote::Unknown(url) => {
                let same = origin(&remote.url);
                let clones = state.repos.iter();
                let mut clones = clones.filter(|(_, local)| origin(&local.github_url) == same);
                if let Some((name, _)) = clones.next() {
                    return self.by_nickname(name, state);
                }
                let url = if url.is_empty() { "without a URL" } else { &url };
                Err(Failure::usage(format!(
                    "the git remote {} of this directory ({}) does not name an owner/repo",
                    remote.name,
                    line(url, 200)
                ))
                .hint(NAME_THE_REPO))
            }
        }
    }

    /// The repo that `config --name` gave clones from this URL.
    fn repo_of_url(&self, url: &str, state: &State) -> Option<Repo> {
        let same = origin(url);
        let nicknames = self.settings.nicknames.iter().filter(|(name, nickname)| {
            let here = state.repos.get(*name).map(|local| &local.github_url);
            let here = here.filter(|url| nickname.holds(Some(url)));
            nickname.origin.as_ref().or(here).is_some_and(|known| origin(known) == same)
        });
        let repos: BTreeSet<_> = nicknames.map(|(_, nickname)| &nickname.repo).collect();
        repos.first().filter(|_| repos.len() == 1).map(|repo| (*repo).clone())
    }

    /// Is this a clone of multiclaude's whose repo is not known?
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
