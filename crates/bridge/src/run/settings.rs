//! Serves the repos in the settings, and follows changes of the settings.

use super::Bridge;
use super::served::Served;
use crate::registry::Home;
use crate::setup::{self, RepoSetup, Setup};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::{info, warn};

/// See [`Bridge::settings_stamp`].
pub(super) type Stamp = (Vec<Option<SystemTime>>, Vec<(String, String)>);

impl Bridge {
    /// A value that changes when the settings or multiclaude's repos change.
    pub(super) fn settings_stamp(&self) -> Stamp {
        let root = self.shared.paths.root();
        let files = [root.join("hybrid/settings.json"), root.join("credentials")];
        // Also the human's decisions about messages.
        let decisions = self.repos.values().map(|served| served.bridge.spool.dirs.decisions());
        let time = |file| std::fs::metadata(file).and_then(|found| found.modified()).ok();
        let times: Vec<_> = files.into_iter().chain(decisions).map(time).collect();
        let state = self.shared.state.read();
        let repos = state.iter().flat_map(|state| &state.repos);
        (times, repos.map(|(name, repo)| (name.clone(), repo.github_url.clone())).collect())
    }

    pub(super) async fn reload(&mut self) {
        let setup = match setup::read(&self.shared.machine).await {
            Ok(setup) => setup,
            Err(reason) => {
                self.trouble.begin("settings", &reason);
                self.settings_error = Some(reason);
                return;
            }
        };
        // If multiclaude's directory was removed together with the settings, go on with the
        // messages on their way.
        if setup.repos.is_empty()
            && !self.repos.is_empty()
            && !self.shared.paths.root().join("hybrid").exists()
        {
            let reason = "the settings are gone".to_owned();
            self.trouble.begin("settings", &reason);
            self.settings_error = Some(reason);
            return;
        }
        self.trouble.end("settings");
        self.settings_error = None;
        self.follow(setup).await;
    }

    /// Serves the repos of `setup`, and no others.
    pub(super) async fn follow(&mut self, setup: Setup) {
        let same_machine = setup.node == self.setup.node && setup.instance == self.setup.instance;
        self.refused.clone_from(&setup.refused);
        let mut stale = Vec::new();
        for (repo, served) in &self.repos {
            let wanted = setup.repos.iter().find(|wanted| wanted.repo == *repo);
            match wanted {
                None if same_machine && setup.for_now.contains(repo) => {}
                Some(wanted) if same_machine && wanted.is_same(&served.bridge.setup) => {
                    served.bridge.set_stood_down(wanted.stood_down.clone());
                }
                _ => stale.push(repo.clone()),
            }
        }
        let ended: Vec<_> = stale.iter().filter_map(|repo| self.repos.remove(repo)).collect();
        // Stop taking messages and making links for the ended ones.
        self.capture_served();
        for served in ended {
            let old = &served.bridge.setup;
            let now = setup.repos.iter().find(|wanted| wanted.repo == old.repo);
            let stays = now.is_some_and(|now| now.nickname == old.nickname);
            let (repo, spool) = (old.repo.clone(), Arc::clone(&served.bridge.spool));
            info!(%repo, stays, "its settings have changed");
            served.end().await;
            if !stays && let Err(error) = spool.links.remove_all() {
                warn!(%repo, %error, "its links were not removed");
            }
        }
        self.setup = setup.clone();
        for wanted in setup.repos {
            if self.repos.contains_key(&wanted.repo) {
                continue;
            }
            let repo = wanted.repo.clone();
            match self.serve(wanted) {
                Ok(served) => {
                    self.repos.insert(repo, served);
                }
                Err(error) => {
                    warn!(%repo, %error, "not served");
                    self.refused.insert(repo.to_string(), error.to_string());
                }
            }
        }
        self.capture_served();
        self.wakes.changed.send_modify(|count| *count += 1);
    }

    fn capture_served(&self) {
        let spools = self.repos.values().map(|served| Arc::clone(&served.bridge.spool)).collect();
        self.shared.capture.serve(spools);
        self.serving.serve(self.repos.values().map(|served| Arc::clone(&served.bridge)));
    }

    fn serve(&self, setup: RepoSetup) -> io::Result<Served> {
        let dirs = self.dirs.repo(&setup.repo);
        let home = Home {
            repo: setup.repo.clone(),
            node: self.setup.node.clone(),
            instance: self.setup.instance.clone(),
            owner: setup.owner.clone(),
            recipient: setup.recipient.clone(),
            public_url: self.options.public_url.clone(),
        };
        Served::start(setup, home, dirs, (&self.shared, &self.wakes))
    }
}
