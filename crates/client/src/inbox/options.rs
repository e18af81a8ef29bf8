//! Options of an inbox, and its reports of outages.

use crate::Error;
use multiclaude_hybrid_protocol::AgentId;
use std::sync::Arc;
use std::time::Duration;

/// A change of the connection, for a program that informs a person.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Connection<'a> {
    /// An outage has begun, for this reason. The inbox goes on trying.
    Away(&'a Error),
    /// The outage is over. It lasted this long.
    Back(Duration),
}

/// Is called with each change of the connection.
pub type OnChange = dyn Fn(Connection<'_>) + Send + Sync;

/// Options of an [`Inbox`](super::Inbox). The defaults suit most programs.
#[derive(Clone)]
pub struct InboxOptions {
    /// Receive for this incarnation only: once another one has replaced it, the inbox
    /// ends with `agent_superseded`.
    pub agent: Option<AgentId>,
    /// Poll, and never open a stream.
    pub polling: bool,
    /// Ping a stream that has been silent for this time; 30 s unless set.
    pub ping_every: Duration,
    /// A stream that does not answer a ping within this time is dead; 15 s unless set.
    pub pong_within: Duration,
    /// How long it polls before it tries a stream again; 3 minutes unless set.
    pub stream_again: Duration,
    /// What [`InboxOptions::on_change`] has set.
    pub on_change: Option<Arc<OnChange>>,
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self {
            agent: None,
            polling: false,
            ping_every: Duration::from_secs(30),
            pong_within: Duration::from_secs(15),
            stream_again: Duration::from_mins(3),
            on_change: None,
        }
    }
}

impl InboxOptions {
    /// Calls this at the beginning and at the end of every outage, on the inbox's own
    /// task: it must not block. A stream that breaks and can be opened again at once is
    /// not an outage.
    #[must_use]
    pub fn on_change(mut self, call: impl Fn(Connection<'_>) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(call));
        self
    }
}
