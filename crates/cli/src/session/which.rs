//! Which repo is meant.

use super::Session;
use crate::failure::{Failure, Outcome};
use crate::multiclaude::{State, repo_of_url, without_user};
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::token::Scope;

impl Session {
    /// The repo that `given` means (a nickname, `owner/repo` or a URL), or the
    /// one of the working directory, or multiclaude's current one. With its
    /// nickname, if multiclaude knows it.
    pub fn resolve(&self, given: Option<&str>) -> Outcome<(Repo, Option<String>)> {
        let state = self.state()?;
        match given {
            Some(text) => self.named(text, &state),
            None => self.implied(&state),
        }
    }

    fn named(&self, text: &str, state: &State) -> Outcome<(Repo, Option<String>)> {
        if state.repos.contains_key(text) || self.said(text, state).is_some() {
            return self.nicknamed(text, state).map(|repo| (repo, Some(text.to_owned())));
        }
        let repo = repo_of_url(text).or_else(|| Repo::parse(text).ok());
        let repo = repo.ok_or_else(|| {
            Failure::usage(format!(
                "{text:?} is neither a repo that multiclaude knows nor an owner/repo"
            ))
            .hint("`multiclaude list` shows the names it knows; else write owner/repo")
        })?;
        let nickname = self.nickname(&repo, state);
        Ok((repo, nickname))
    }

    /// multiclaude's name for `repo`.
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
        repo_of_url(url).ok_or_else(|| {
            Failure::new(format!(
                "multiclaude cloned {name} from {:?}, which names no owner/repo",
                without_user(url)
            ))
            .hint(format!(
                "say which it is, once: multiclaude-hybrid config {name} --name=owner/repo"
            ))
        })
    }

    fn implied(&self, state: &State) -> Outcome<(Repo, Option<String>)> {
        let named = |name: String| self.nicknamed(&name, state).map(|repo| (repo, Some(name)));
        if let Some(place) = self.place() {
            return named(place.repo);
        }
        if let Some(repo) = remote_of_directory() {
            let nickname = self.nickname(&repo, state);
            return Ok((repo, nickname));
        }
        if let Some(name) = state.current() {
            return named(name.to_owned());
        }
        // One repo is all there is: that one is meant, by multiclaude too.
        if let Some(Ok(only)) = state.only().map(|name| named(name.to_owned())) {
            return Ok(only);
        }
        let mut known: Vec<Repo> = Vec::new();
        for name in state.repos.keys() {
            known.extend(self.nicknamed(name, state).ok());
        }
        let here = self.settings.repos.keys();
        known.extend(here.filter_map(|name| Repo::parse(name).ok()));
        let scopes = self.settings.logins.iter().flat_map(|login| &login.repos);
        known.extend(scopes.filter_map(|scope| match scope {
            Scope::Repo(repo) => Some(repo.clone()),
            Scope::Account(_) => None,
        }));
        known.sort();
        known.dedup();
        match known.as_slice() {
            [only] => Ok((only.clone(), self.nickname(only, state))),
            _ => Err(
                Failure::usage("which repo? this directory belongs to none that is known")
                    .hint(
                        "say it: --repo owner/repo (config, prompt, leave: without the word --repo), or \
                         change to its directory",
                    ),
            ),
        }
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

/// The repo that the working directory's git remote `origin` names.
fn remote_of_directory() -> Option<Repo> {
    let output = std::process::Command::new("git")
        .args(["remote", "get-url", "origin"])
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    repo_of_url(&String::from_utf8(output.stdout).ok()?)
}
