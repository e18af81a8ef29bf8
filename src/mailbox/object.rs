//! The Durable Object: loads, executes commands, keeps itself awake.
//!
//! *In scope:* the order in which things happen. *Out of scope:* decisions
//! (core), statements (`sql`).
//!
//! A command runs without an `await` from its first read to its last write,
//! so it is atomic. The exceptions are what waits by nature: a held list and a
//! push. Nothing borrows the mailbox across an `await`.

use super::command::{Answer, Command, NEXT, OPEN_STREAM, ROWS, Refused, SPAWNS};
use super::socket::Live;
use super::sql::Sql;
use super::vault::Vault;
use crate::settings::{self, Settings};
use crate::{clock, log};
use futures_channel::oneshot;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::access::Principal;
use multiclaude_hybrid_core::mailbox::{Mailbox as Core, Snapshot, Write};
use multiclaude_hybrid_protocol::{AgentName, Repo};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use worker::{
    DurableObject, Env, Error, Headers, Request, Response, State, WebSocket,
    WebSocketIncomingMessage, durable_object, wasm_bindgen,
};

/// The object that Workers see.
#[durable_object]
pub struct Mailbox {
    inner: Rc<Inner>,
}

/// The object's state in memory. All of it can be lost at any moment.
pub struct Inner {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) sql: Sql,
    /// `owner/repo/agent`.
    pub(super) name: String,
    pub(super) vault: Vault,
    /// None until the first command or alarm.
    core: RefCell<Option<Core>>,
    /// When the alarm is set for, as far as this incarnation of the object knows.
    pub(super) armed: Cell<Option<Ms>>,
    /// A message was stored since the last alarm.
    pub(super) busy: Cell<bool>,
    /// A drain is running.
    pub(super) draining: Cell<bool>,
    /// Drains that have failed one after the other.
    pub(super) faults: Cell<u32>,
    /// Marks wait to be written.
    pub(super) flushing: Cell<bool>,
    /// The head of the message that was stored last, for its push.
    pub(super) fresh: RefCell<Option<(u64, String)>>,
    /// The stream in force.
    pub(super) live: RefCell<Option<Live>>,
    /// Lists that are held until something comes.
    waiters: RefCell<Vec<oneshot::Sender<()>>>,
}

impl DurableObject for Mailbox {
    fn new(state: State, env: Env) -> Self {
        let name = state.id().name().unwrap_or_default();
        Self {
            inner: Rc::new(Inner {
                sql: Sql::new(state.storage().sql()),
                vault: Vault::new(name.clone()),
                state,
                env,
                name,
                core: RefCell::new(None),
                armed: Cell::new(None),
                busy: Cell::new(false),
                draining: Cell::new(false),
                faults: Cell::new(0),
                flushing: Cell::new(false),
                fresh: RefCell::new(None),
                live: RefCell::new(None),
                waiters: RefCell::new(Vec::new()),
            }),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let stream = request.headers().get(OPEN_STREAM)?;
        if let Some(ask) = stream {
            return match self.inner.stream(&ask) {
                Ok(response) => Ok(response),
                Err(refused) => refuse(&refused, Headers::new()),
            };
        }
        let text = request.text().await?;
        let answer = self.inner.answer(&text).await;
        let headers = Headers::new();
        let rows = self.inner.sql.take_rows();
        if rows > 0 {
            headers.set(ROWS, &rows.to_string())?;
        }
        match answer {
            Ok(answer) => {
                if let Some(next) = answer.next {
                    headers.set(NEXT, &next)?;
                }
                let response = Response::from_bytes(answer.body.into_bytes())?;
                Ok(response.with_headers(headers).with_status(answer.status))
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
        let inner = &self.inner;
        let frame = async {
            inner.load(&*inner.settings()?)?;
            inner.frame(&socket, text).await
        };
        let result = frame.await;
        inner.report_fault("frame", result);
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        // The handshake is this side's to finish; a code that stands for none
        // must not be sent.
        let code = u16::try_from(code).ok().filter(|code| !matches!(code, 1005 | 1006 | 1015));
        let _ = socket.close(Some(code.unwrap_or(1000)), Some(reason));
        let inner = &self.inner;
        inner.event("close", || inner.stream_closed(&socket));
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> worker::Result<()> {
        let inner = &self.inner;
        inner.event("error", || inner.stream_closed(&socket));
        Ok(())
    }

    async fn alarm(&self) -> worker::Result<Response> {
        // An error leaves here only where no alarm can be set at all: the runtime calls
        // again then, and gives up after some tries.
        if let Err(refused) = self.inner.wake().await {
            log::fault("alarm", &format!("{}: {refused}", self.inner.name));
            let later = self.inner.wake_later().await;
            later.map_err(|refused| Error::RustError(refused.to_string()))?;
        }
        Response::empty()
    }
}

fn refuse(refused: &Refused, headers: Headers) -> worker::Result<Response> {
    let body = serde_json::to_vec(refused)?;
    Ok(Response::from_bytes(body)?.with_headers(headers).with_status(409))
}

impl Inner {
    /// An event of a stream. No error leaves here: there is nobody to tell.
    fn event(self: &Rc<Self>, what: &str, work: impl FnOnce() -> Result<(), Refused>) {
        let settings = self.settings();
        let result = settings.and_then(|settings| self.load(&settings)).and_then(|_| work());
        if let Err(refused) = result {
            log::fault(what, &format!("{}: {refused}", self.name));
        }
    }

    fn stream(self: &Rc<Self>, ask: &str) -> Result<Response, Refused> {
        let settings = self.settings()?;
        self.load(&settings)?;
        self.open_stream(serde_json::from_str(ask)?)
    }

    async fn answer(self: &Rc<Self>, text: &str) -> Result<Answer, Refused> {
        let settings = self.settings()?;
        let (command, fragment) = text.split_once('\n').unwrap_or((text, ""));
        let command = serde_json::from_str(command)?;
        if self.load(&settings)? {
            // Repair at construction: what an interruption left is done now.
            self.follow_up(false)?;
        }
        let answer = match command {
            Command::Send(send) => self.send(send, fragment),
            Command::List(list) => return self.list(list).await,
            Command::Receipt { caller, seq, uuid } => return self.receipt(&caller, seq, &uuid),
            Command::Report { caller, agent_id, seq, uuid, report } => {
                self.report(&caller, agent_id.as_ref(), seq, &uuid, report)
            }
            Command::Waiting => return self.waiting(),
            Command::Held { agent_id } => return self.held(&agent_id),
            Command::Configure { wish, secret, rotate } => {
                self.configure(wish, secret.as_deref(), rotate, &settings)
            }
            Command::Close { agent_id, owner, version } => self.close(agent_id, owner, version),
            Command::TestEndpoint => return self.test_endpoint(&settings).await,
        };
        // A failed write has thrown the memory away; the cause is the answer then.
        if self.core.borrow().is_some() {
            self.follow_up(true)?;
        }
        answer
    }

    /// The operator's settings.
    pub(super) fn settings(&self) -> Result<Rc<Settings>, Refused> {
        Ok(settings::get(&self.env)?)
    }

    /// Loads the mailbox; true if this is the object's first event.
    pub(super) fn load(&self, settings: &Settings) -> Result<bool, Refused> {
        if self.core.borrow().is_some() {
            return Ok(false);
        }
        let exists = self.sql.open()?;
        let snapshot = if exists { self.sql.snapshot()? } else { Snapshot::default() };
        let (core, writes) = Core::load(snapshot, settings.timing.clone(), clock::now());
        self.core.replace(Some(core));
        self.execute(writes)?;
        self.find_stream()?;
        Ok(true)
    }

    /// Works on the mailbox. `work` must not await.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> Result<T, Refused> {
        let mut core = self.core.borrow_mut();
        core.as_mut()
            .map(work)
            .ok_or_else(|| Refused::Broken { cause: "the mailbox is not loaded".to_owned() })
    }

    /// Executes writes, all in this turn: one atomic change. Where one fails,
    /// memory no longer tells what is stored, so it is thrown away.
    pub(super) fn execute(&self, writes: Vec<Write>) -> Result<(), Refused> {
        self.execute_from(writes, None)
    }

    /// The same, for a message sent by an agent of `sender_owner`.
    pub(super) fn execute_from(
        &self,
        writes: Vec<Write>,
        sender_owner: Option<&str>,
    ) -> Result<(), Refused> {
        for write in writes {
            if let Err(error) = self.sql.apply(write, sender_owner) {
                self.core.replace(None);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes the marks of successful pushes, before anything reads or after
    /// a short while.
    pub(super) fn flush(&self) -> Result<(), Refused> {
        let writes = self.with(Core::take_unsaved)?;
        self.execute(writes)
    }

    /// After a command that changes something: wakes held lists, begins to
    /// drain, and makes sure of an alarm.
    pub(super) fn follow_up(self: &Rc<Self>, changed: bool) -> Result<(), Refused> {
        for waiter in if changed { self.waiters.take() } else { Vec::new() } {
            // A list that is no longer held does not mind.
            let _ = waiter.send(());
        }
        if !self.draining.get() && self.has_work()? {
            let inner = Rc::clone(self);
            self.state.wait_until(async move { inner.drain().await });
        }
        let settings = self.settings()?;
        self.arm(&settings)
    }

    /// Notes a sign of life, where `caller` is the agent's holder: its owner, and not
    /// somebody else who may read the mailbox.
    pub(super) fn note_sign(&self, caller: &Principal) -> Result<(), Refused> {
        let now = clock::now();
        self.with(|core| {
            if core.open().is_some_and(|config| config.owner == caller.owner) {
                core.note_sign(now);
            }
        })
    }

    /// Waits until something was stored or changed.
    pub(super) fn hold(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters.borrow_mut();
        waiters.retain(|sender| !sender.is_canceled());
        waiters.push(sender);
        receiver
    }

    /// Does it push a repo's requests for workers, instead of messages?
    pub(super) fn is_for_spawns(&self) -> bool {
        self.name.ends_with(SPAWNS)
    }

    /// The repo and the agent that the object's name holds; where it is for
    /// requests for workers, an agent of the name `spawn`.
    pub(super) fn address(&self) -> Result<(Repo, AgentName), Refused> {
        let parts = self.name.rsplit_once('/');
        let parts = parts.map(|(repo, agent)| (repo, agent.trim_start_matches('@')));
        let address = parts.and_then(|(repo, agent)| {
            Some((Repo::parse(repo).ok()?, AgentName::parse(agent).ok()?))
        });
        address.ok_or_else(|| Refused::Broken {
            cause: format!("an object of the name {} is no mailbox", self.name),
        })
    }
}
