//! What all repos of a bridge share.

use crate::hop::Wishes;
use crate::inbox::{Accept, Routes};
use crate::lock::locked;
use crate::multiclaude::{Daemon, Panes, Paths, StateFile, Windows};
use crate::presence::Timing;
use crate::setup::Machine;
use crate::socket::Channels;
use crate::spool::Capture;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How messages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The coordinator pushes them.
    Webhook,
    /// By stream, or by long polls where there is none.
    Stream,
    /// By long polls.
    Polling,
}

/// What all repos share.
#[derive(Debug)]
pub struct Shared {
    /// The user's home.
    pub home: PathBuf,
    /// multiclaude's files.
    pub paths: Paths,
    /// Its state.
    pub state: Arc<StateFile>,
    /// Its daemon.
    pub daemon: Daemon,
    /// The settings.
    pub machine: Arc<dyn Machine>,
    /// Types that this machine serves.
    pub serve: BTreeSet<String>,
    /// The thread that takes files.
    pub capture: Arc<Capture>,
    /// Where pushes come in.
    pub routes: Arc<Routes>,
    /// The times that it goes by.
    pub timing: Timing,
    /// Never by stream.
    pub polling: bool,
    /// The windows, for those who need them as they are.
    pub windows: Arc<Windows>,
    /// The windows with a running claude, as last seen.
    pub panes: Mutex<Arc<Panes>>,
    /// The channels of agents.
    pub channels: Arc<Channels>,
    /// Whose messages are accepted.
    pub accept: Accept,
    /// What the user wants of the last hop.
    pub wishes: Wishes,
    /// Does multiclaude's daemon answer?
    pub daemon_is_up: AtomicBool,
}

impl Shared {
    /// Looks which windows have a running claude now.
    pub async fn look_at_panes(&self) {
        let panes = self.windows.within(Duration::ZERO).await;
        *locked(&self.panes) = panes;
    }
}
