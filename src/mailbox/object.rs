//! The Durable Object: loads, executes commands, handles events.
//!
//! *In scope:* the order in which things happen. *Out of scope:* decisions
//! (core), statements (`sql`).
//!
//! A *turn* is a synchronous stretch without an `await`: the runtime makes its writes one
//! transaction. A command runs in one turn, except a held list and a test of an endpoint.
//! A stream's frame may await D1 first (is its token still valid?), and a run (`pump`)
//! awaits each of its steps. Nothing borrows the mailbox across an `await`.

use super::Refused;
use super::command::{Answer, Command, Effect, NEXT, OPEN_STREAM, ROWS, SPAWNS};
use super::sql::Sql;
use super::stream::Live;
use crate::settings::{self, Settings};
use crate::{clock, log};
use futures_channel::oneshot;
use multiclaude_hybrid_core::access::Principal;
use multiclaude_hybrid_core::mailbox::{Event, Mailbox as Core, Pump, Snapshot, Write};
use multiclaude_hybrid_protocol::{AgentId, AgentName, Repo};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use worker::{
    DurableObject, Env, Error, Headers, Request, Response, State, WebSocket,
    WebSocketIncomingMessage, durable_object, wasm_bindgen,
};

/// The object that Workers see.
#[durable_object]
pub struct Mailbox {
    object: Rc<MailboxObject>,
}

/// The object's state in memory. All of it can be lost at any moment.
pub struct MailboxObject {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) sql: Sql,
    /// `owner/repo/agent`.
    pub(super) name: String,
    /// None until the first command or alarm.
    core: RefCell<Option<Core>>,
    /// The state of the alarm and the run.
    pub(super) pump: Cell<Pump>,
    /// A timer will write the marks of deliveries.
    pub(super) flush_is_timed: Cell<bool>,
    /// The message that was stored last, for its push.
    pub(super) fresh: RefCell<Option<Fresh>>,
    /// The current stream.
    pub(super) live: RefCell<Option<Live>>,
    /// Held lists.
    waiters: RefCell<Vec<oneshot::Sender<()>>>,
}

/// A message that was just stored: its first push or offer need not read it.
#[derive(Debug)]
pub struct Fresh {
    pub seq: u64,
    pub push_id: String,
    /// The unchanging part of its wire form, as stored.
    pub head: String,
}

impl DurableObject for Mailbox {
    fn new(state: State, env: Env) -> Self {
        let name = state.id().name().unwrap_or_default();
        Self {
            object: Rc::new(MailboxObject {
                sql: Sql::new(state.storage().sql()),
                state,
                env,
                name,
                core: RefCell::new(None),
                pump: Cell::default(),
                flush_is_timed: Cell::default(),
                fresh: RefCell::new(None),
                live: RefCell::new(None),
                waiters: RefCell::new(Vec::new()),
            }),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if let Some(text) = request.headers().get(OPEN_STREAM)? {
            let opened = self.object.execute_open_stream(&text);
            return opened.or_else(|refused| refuse(&refused, Headers::new()));
        }
        let text = request.text().await?;
        let answer = self.object.execute_command(&text).await;
        let headers = Headers::new();
        let rows = self.object.sql.take_rows();
        if rows > 0 {
            headers.set(ROWS, &rows.to_string())?;
        }
        match answer {
            Ok(answer) => {
                if let Some(next) = &answer.next {
                    headers.set(NEXT, next)?;
                }
                let status = answer.status();
                let response = Response::from_bytes(answer.body.into_bytes())?;
                Ok(response.with_headers(headers).with_status(status))
            }
            Err(refused) => refuse(&refused, headers),
        }
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        let text = match &message {
            WebSocketIncomingMessage::String(text) => Some(text.as_str()),
            WebSocketIncomingMessage::Binary(_) => None,
        };
        let result = self.object.frame(&socket, text).await;
        self.object.log_fault("frame", result);
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        // This side finishes the handshake; codes that mean "no code" must not be sent.
        let code = u16::try_from(code).ok().filter(|code| !matches!(code, 1005 | 1006 | 1015));
        let _ = socket.close(Some(code.unwrap_or(1000)), Some(reason));
        let result = self.object.stream_closed(&socket);
        self.object.log_fault("close", result);
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, error: Error) -> worker::Result<()> {
        self.object.log_fault("websocket", Err(Refused::broken(error)));
        let result = self.object.stream_closed(&socket);
        self.object.log_fault("close", result);
        Ok(())
    }

    async fn alarm(&self) -> worker::Result<Response> {
        // Return an error only if no alarm can be set. The runtime then retries, a few times.
        if let Err(refused) = self.object.wake().await {
            self.object.log_fault("alarm", Err(refused));
            let later = self.object.wake_later().await;
            later.map_err(|refused| Error::RustError(refused.to_string()))?;
        }
        Response::empty()
    }
}

fn refuse(refused: &Refused, headers: Headers) -> worker::Result<Response> {
    let body = serde_json::to_vec(refused)?;
    Ok(Response::from_bytes(body)?.with_headers(headers).with_status(409))
}

impl MailboxObject {
    fn execute_open_stream(self: &Rc<Self>, text: &str) -> Result<Response, Refused> {
        self.load()?;
        self.open_stream(serde_json::from_str(text)?)
    }

    async fn execute_command(self: &Rc<Self>, text: &str) -> Result<Answer, Refused> {
        let (command, fields) = text.split_once('\n').unwrap_or((text, ""));
        let command = serde_json::from_str(command)?;
        if self.load()? {
            // Do the work that was interrupted.
            self.follow(Event::Changed)?;
        }
        let answer = match command {
            Command::Send(send) => self.send(send, fields),
            Command::StoreSpawn { push_id } => self.store_spawn(push_id, fields),
            Command::List(list) => self.list(list).await,
            Command::Receipt { caller, seq, uuid } => self.receipt(&caller, seq, &uuid),
            Command::Report { caller, agent_id, seq, uuid, report } => {
                self.report(&caller, agent_id.as_ref(), seq, &uuid, report)
            }
            Command::CountPending => self.count_pending(),
            Command::HolderIsPresent { agent_id } => self.holder_is_present(&agent_id),
            Command::Configure { request, secret, rotate } => {
                self.configure(request, secret.as_deref(), rotate)
            }
            Command::Close { agent_id, owner, version } => self.close(agent_id, owner, version),
            Command::TestEndpoint => self.test_endpoint().await,
        };
        // If a write has failed, the memory was discarded, and `answer` is that error.
        if self.is_loaded() {
            match answer.as_ref().map(|answer| answer.effect) {
                Ok(Effect::Stored) => self.changed(Event::Stored)?,
                Ok(Effect::Changed) => self.changed(Event::Changed)?,
                Ok(Effect::Read) => {}
                // A refused command, too, may have noted that the holder is present.
                Err(_) => self.follow(Event::Changed)?,
            }
        }
        answer
    }

    pub(super) fn settings(&self) -> Result<Rc<Settings>, Refused> {
        settings::get(&self.env).map_err(Refused::broken)
    }

    /// Loads the mailbox; true if this is the object's first event.
    pub(super) fn load(&self) -> Result<bool, Refused> {
        if self.is_loaded() {
            return Ok(false);
        }
        let timing = self.settings()?.timing.clone();
        let exists = self.sql.migrate(self.name.ends_with(SPAWNS))?;
        let snapshot = if exists { self.sql.snapshot()? } else { Snapshot::default() };
        let (core, writes) = Core::load(snapshot, timing, clock::now());
        self.core.replace(Some(core));
        self.apply_writes(writes)?;
        self.find_stream()?;
        Ok(true)
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.core.borrow().is_some()
    }

    /// Works on the mailbox. `work` must not await.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> Result<T, Refused> {
        let mut core = self.core.borrow_mut();
        core.as_mut().map(work).ok_or_else(|| Refused::broken("the mailbox is not loaded"))
    }

    /// The current incarnation, if there is one.
    pub(super) fn agent_id(&self) -> Result<Option<AgentId>, Refused> {
        self.with(|core| core.current().map(|config| config.agent_id.clone()))
    }

    /// Executes the writes of a decision.
    pub(super) fn write(
        &self,
        decide: impl FnOnce(&mut Core) -> Vec<Write>,
    ) -> Result<(), Refused> {
        let writes = self.with(decide)?;
        self.apply_writes(writes)
    }

    /// Executes writes, all in this turn. If one fails, the earlier ones stay: core orders
    /// them so that any prefix is safe. Memory then differs from storage, so it is discarded.
    pub(super) fn apply_writes(&self, writes: Vec<Write>) -> Result<(), Refused> {
        for write in writes {
            if let Err(error) = self.sql.apply(write) {
                self.discard_memory();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Discards a memory that differs from storage: the next event loads it again.
    pub(super) fn discard_memory(&self) {
        self.core.replace(None);
    }

    /// Something may have changed: held lists read again, and due work begins.
    pub(super) fn changed(self: &Rc<Self>, event: Event) -> Result<(), Refused> {
        for waiter in self.waiters.take() {
            // The receiver may be gone.
            let _ = waiter.send(());
        }
        self.follow(event)
    }

    /// Notes that the holder is present, if `caller` is the agent's owner and not another
    /// reader of the mailbox.
    pub(super) fn note_presence(&self, caller: &Principal) -> Result<(), Refused> {
        let now = clock::now();
        self.with(|core| {
            if core.current().is_some_and(|config| config.owner == caller.owner) {
                core.note_presence(now);
            }
        })
    }

    /// Returns a receiver that resolves when something is stored or changed.
    pub(super) fn wait_for_change(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters.borrow_mut();
        waiters.retain(|sender| !sender.is_canceled());
        waiters.push(sender);
        receiver
    }

    /// The repo and the agent in the object's name; the agent of a mailbox for requests
    /// counts as `spawn`.
    pub(super) fn address(&self) -> Result<(Repo, AgentName), Refused> {
        let parts = self.name.rsplit_once('/');
        let address = parts.and_then(|(repo, agent)| {
            let agent = AgentName::parse(agent.trim_start_matches('@'));
            Some((Repo::parse(repo).ok()?, agent.ok()?))
        });
        address.ok_or_else(|| Refused::broken(format!("{} is not a mailbox's name", self.name)))
    }

    pub(super) fn log_fault(&self, what: &str, result: Result<(), Refused>) {
        if let Err(refused) = result {
            log::fault(what, &format!("{}: {refused}", self.name));
        }
    }
}
