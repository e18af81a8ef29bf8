//! What all repos of a bridge share.

use crate::inbox::Routes;
use crate::lock::locked;
use crate::multiclaude::{Daemon, Panes, Paths, StateFile};
use crate::presence::Timing;
use crate::setup::Machine;
use crate::spool::Capture;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

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
    /// The windows with a running claude, as last seen.
    pub panes: Mutex<Panes>,
    /// Does multiclaude's daemon answer?
    pub daemon_is_up: AtomicBool,
}

impl Shared {
    /// Looks which windows have a running claude now.
    pub async fn look_at_panes(&self) {
        let panes = Panes::look().await;
        *locked(&self.panes) = panes;
    }
}
