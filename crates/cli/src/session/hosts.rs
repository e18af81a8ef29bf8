//! The hosts of a repo's clones. `owner/repo` does not name the host, so a clone from
//! another host may be of another repo of the same name.

use super::Session;
use crate::failure::{Exit, Failure, Outcome};
use crate::multiclaude::State;
use crate::output::confirm;
use crate::remote::host::Host;
use crate::remote::{self, Remote};
use multiclaude_hybrid_client::protocol::Repo;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;

impl Session {
    /// Is this a host that `repo` is known to be cloned from? Another one is asked
    /// about, once, or refused if no person can be asked.
    pub(super) fn check_host(&self, repo: &Repo, host: &Host, state: &State) -> Outcome {
        let Some(here) = self.settings.repos.get(repo.as_str()) else {
            return Ok(());
        };
        if here.hosts.contains(host.name()) {
            return Ok(());
        }
        let mut known = here.hosts.clone();
        if known.is_empty() {
            known = hosts_of_clones(repo, state);
        }
        let name = host.resolved();
        if known.is_empty() || known.contains(&name) {
            if here.hosts.is_empty() {
                known.insert(name);
                self.remember_hosts(repo, &known);
            }
            return Ok(());
        }
        let names: Vec<_> = known.iter().map(String::as_str).collect();
        let fault = format!(
            "{repo} is set up here with clones from {}, and this one is from {name}",
            names.join(" and ")
        );
        if self.agreed(&fault)? {
            self.remember_hosts(repo, &BTreeSet::from([name]));
            return Ok(());
        }
        Err(Failure::new(fault).exit(Exit::Usage).hint(format!(
            "if it is the same repo: multiclaude-hybrid config {repo} --git-host={name}; to use the \
             known one this time: --repo {repo}"
        )))
    }

    /// Notes where the clones of `repo` that are here come from: multiclaude's, and
    /// the working directory's.
    pub fn note_hosts(&self, repo: &Repo, state: &State) {
        let mut hosts = hosts_of_clones(repo, state);
        if let Ok(Some(named)) = remote::git::of_directory()
            && let Remote::Is { host, repo: found } = remote::resolve(&named.url)
            && found == *repo
        {
            hosts.insert(host.resolved());
        }
        if !hosts.is_empty() {
            self.remember_hosts(repo, &hosts);
        }
    }

    fn remember_hosts(&self, repo: &Repo, hosts: &BTreeSet<String>) {
        self.note_about(repo, |here| here.hosts.extend(hosts.iter().cloned()));
    }

    /// Asks a person whether another host has the same repo; no, if there is none.
    fn agreed(&self, fault: &str) -> Outcome<bool> {
        if !self.may_ask || self.out.is_json() || !std::io::stderr().is_terminal() {
            return Ok(false);
        }
        confirm(&format!("{fault}. Is it the same repo?"))
    }
}

fn hosts_of_clones(repo: &Repo, state: &State) -> BTreeSet<String> {
    let urls = state.repos.values().map(|local| remote::resolve(&local.github_url));
    let hosts = urls.filter_map(|found| match found {
        Remote::Is { host, repo: found } if found == *repo => Some(host.resolved()),
        _ => None,
    });
    hosts.collect()
}
