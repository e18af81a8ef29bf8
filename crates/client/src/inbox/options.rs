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

type OnChange = dyn Fn(Connection<'_>) + Send + Sync;

/// Options of an [`Inbox`](super::Inbox). The defaults suit most programs.
#[derive(Clone)]
pub struct InboxOptions {
    pub(super) agent: Option<AgentId>,
    pub(super) polling: bool,
    pub(super) ping_every: Duration,
    pub(super) pong_within: Duration,
    pub(super) stream_again: Duration,
    pub(super) on_change: Option<Arc<OnChange>>,
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
    /// Receives for this incarnation only: once another one has replaced it, the inbox
    /// ends with `agent_superseded`.
    #[must_use]
    pub fn agent(mut self, id: AgentId) -> Self {
        self.agent = Some(id);
        self
    }

    /// Polls, and never opens a stream.
    #[must_use]
    pub fn polling(mut self) -> Self {
        self.polling = true;
        self
    }

    /// Pings a stream that has been silent for `every` (30 s unless set). A stream that
    /// does not answer `within` (15 s) is dead.
    #[must_use]
    pub fn ping(mut self, every: Duration, within: Duration) -> Self {
        (self.ping_every, self.pong_within) = (every, within);
        self
    }

    /// Sets how long it polls before it tries a stream again; 3 minutes unless set.
    #[must_use]
    pub fn stream_again(mut self, after: Duration) -> Self {
        self.stream_again = after;
        self
    }

    /// Calls this at the beginning and at the end of every outage, on the inbox's own
    /// task: it must not block. A stream that breaks and can be opened again at once is
    /// not an outage.
    #[must_use]
    pub fn on_change(mut self, call: impl Fn(Connection<'_>) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(call));
        self
    }
}
