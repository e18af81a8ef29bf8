//! State that all repos of a bridge share.

use crate::hop::HopOptions;
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

/// How messages are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The coordinator pushes them.
    Webhook,
    /// By stream, or by long polls if streams do not work.
    Stream,
    /// By long polls only.
    Polling,
}

/// State that all repos share.
#[derive(Debug)]
pub struct Shared {
    /// The user's home.
    pub home: PathBuf,
    /// multiclaude's files.
    pub paths: Paths,
    /// multiclaude's state.
    pub state: Arc<StateFile>,
    /// multiclaude's daemon.
    pub daemon: Daemon,
    /// The settings and secrets.
    pub machine: Arc<dyn Machine>,
    /// Types that this machine serves under their bare names.
    pub serve: BTreeSet<String>,
    /// The thread that takes files.
    pub capture: Arc<Capture>,
    /// The agents that can get pushes.
    pub routes: Arc<Routes>,
    /// The times that the bridge uses.
    pub timing: Timing,
    /// Never use a stream?
    pub polling: bool,
    /// The list of windows, for callers that need a recent one.
    pub windows: Arc<Windows>,
    /// The windows with a running claude, as last listed.
    pub panes: Mutex<Arc<Panes>>,
    /// The channels of agents.
    pub channels: Arc<Channels>,
    /// Whose messages are accepted.
    pub accept: Accept,
    /// The user's options for the last hop.
    pub hop: HopOptions,
    /// Does multiclaude's daemon answer?
    pub daemon_is_up: AtomicBool,
}

impl Shared {
    /// Lists the windows with a running claude again.
    pub async fn look_at_panes(&self) {
        let panes = self.windows.within(Duration::ZERO).await;
        *locked(&self.panes) = panes;
    }
}
