//! This machine, as the bridge asks about it: settings, logins and keys.

use crate::crypt;
use crate::failure::{Exit, Failure, Outcome};
use crate::multiclaude::State;
use crate::output::Output;
use crate::session::Session;
use multiclaude_hybrid_bridge::setup::{Machine, RepoSetup, Setup};
use multiclaude_hybrid_client::protocol::{AgentName, Repo};
use multiclaude_hybrid_client::sealed::{Identity, Pins, Recipient};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
pub struct ThisMachine {
    pub timeout: Duration,
    /// The only tokens that may be used: see [`Session::only`].
    pub only: Option<String>,
}

impl ThisMachine {
    fn session(&self) -> Outcome<Session> {
        let mut session = Session::open(Output::new(false), self.timeout)?.unattended();
        session.only.clone_from(&self.only);
        Ok(session)
    }
}

fn text(failure: Failure) -> String {
    failure.one_line()
}

impl Machine for ThisMachine {
    fn setup(&self) -> Result<Setup, String> {
        let session = self.session().map_err(text)?;
        // A state that cannot be read now is read again: no repo is given up.
        let state = session.state().map_err(text)?;
        let mut refused = BTreeMap::new();
        let (mut repos, mut for_now) = (Vec::new(), BTreeSet::new());
        for (name, here) in &session.settings.repos {
            let Some(repo) = Repo::parse(name).ok().filter(|_| here.enabled) else {
                continue;
            };
            match repo_setup(&session, &repo, &state, &mut refused) {
                Ok(Some(found)) => repos.push(found),
                Ok(None) => {
                    let reason = "multiclaude has no clone of it here (multiclaude repo init); its agents count as \
                                  stopped";
                    refused.insert(name.clone(), reason.to_owned());
                    for_now.insert(repo);
                }
                Err(failure) => {
                    // Without a login there is nothing to serve it with; a keychain
                    // that is locked is opened again.
                    if failure.exit != Exit::NotLoggedIn {
                        for_now.insert(repo);
                    }
                    refused.insert(name.clone(), text(failure));
                }
            }
        }
        let settings = &session.settings;
        Ok(Setup {
            node: settings.node(),
            instance: settings.instance.clone(),
            repos,
            for_now,
            refused,
        })
    }

    fn identities(&self) -> Result<Vec<Identity>, String> {
        let session = self.session().map_err(text)?;
        crypt::identity(&session).map(|found| found.into_iter().collect()).map_err(text)
    }

    fn pins(&self) -> Result<Pins, String> {
        crypt::pins(&self.session().map_err(text)?.home).map_err(text)
    }

    fn pin(&self, repo: &Repo, agent: &AgentName, key: Recipient) -> Result<(), String> {
        let session = self.session().map_err(text)?;
        crypt::change_pins(&session.home, |pins| pins.trust(repo, agent, key)).map_err(text)
    }
}

/// A repo that multiclaude has a clone of; nothing if it has none yet.
fn repo_setup(
    session: &Session,
    repo: &Repo,
    state: &State,
    refused: &mut BTreeMap<String, String>,
) -> Outcome<Option<RepoSetup>> {
    let means = |name: &&String| session.nicknamed(name, state).is_ok_and(|known| known == *repo);
    let names: Vec<_> = state.repos.keys().filter(means).collect();
    // The one that was served before stays that.
    let served = std::fs::read_to_string(session.home.bridge().repo(repo).nickname()).ok();
    let before = names.iter().find(|name| Some(name.as_str()) == served.as_deref());
    let Some(&nickname) = before.or(names.first()) else {
        return Ok(None);
    };
    for second in names.iter().filter(|name| **name != nickname) {
        let reason = format!(
            "it is a second clone of {repo}; agents of {nickname} are registered, those of {second} are not"
        );
        refused.insert((*second).clone(), reason);
    }
    session.served_as(nickname, state)?;
    let login = session.part_in(repo).ok_or_else(|| {
        Failure::new(format!("this machine has no user or service token for {repo}"))
            .exit(Exit::NotLoggedIn)
            .hint("log in with one: multiclaude-hybrid login")
    })?;
    let here = session.settings.repo(repo);
    Ok(Some(RepoSetup {
        repo: repo.clone(),
        nickname: nickname.clone(),
        owner: login.owner.clone(),
        client: session.client(login)?,
        login: format!("{} {}", login.url, login.token_id),
        stood_down: here.stood_down,
        require_encryption: here.require_encryption,
        recipient: Some(crypt::own(session)?),
    }))
}
