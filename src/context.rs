//! One request on its way through the house: what it asks for, what it may
//! use, and what it has cost so far.

use crate::clock;
use crate::error::ApiError;
use crate::settings::Settings;
use crate::store::{self, Db};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::{AgentId, AgentName, ErrorCode, MessageId, Repo};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use worker::{Env, Request};

/// What a request has cost so far, for the log.
#[derive(Debug, Default)]
pub struct Cost {
    /// The token's id.
    pub caller: RefCell<Option<String>>,
    /// D1 statements.
    pub d1: Rc<Cell<u32>>,
    /// Requests to mailboxes.
    pub mailbox: Cell<u32>,
    /// Rows that mailboxes wrote.
    pub rows: Cell<u32>,
}

/// One request.
pub struct Context {
    /// The request itself.
    pub request: Request,
    /// Bindings.
    pub env: Env,
    /// The operator's settings.
    pub settings: Rc<Settings>,
    /// When it came in.
    pub now: Ms,
    url: String,
    params: Vec<String>,
    runtime: worker::Context,
    db: OnceCell<Db>,
    cost: Rc<Cost>,
}

impl Context {
    /// A request for a route with these parameters.
    pub fn new(
        request: Request,
        url: String,
        env: Env,
        runtime: worker::Context,
        settings: Rc<Settings>,
        params: Vec<String>,
        cost: Rc<Cost>,
    ) -> Self {
        Self {
            request,
            env,
            settings,
            now: clock::now(),
            url,
            params,
            runtime,
            db: OnceCell::new(),
            cost,
        }
    }

    /// The request's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database.
    pub fn db(&self) -> Result<&Db, ApiError> {
        if self.db.get().is_none() {
            let _ = self.db.set(Db::counting(&self.env, Rc::clone(&self.cost.d1))?);
        }
        self.db.get().ok_or_else(|| ApiError::internal("no database"))
    }

    fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// The repo in the path, its first parameter.
    pub fn repo(&self) -> Result<Repo, ApiError> {
        Repo::parse(self.param(0)).map_err(|error| {
            ApiError::parameter(
                ErrorCode::InvalidName,
                "repo",
                format_args!("\"{}\" {error}", self.param(0)),
            )
        })
    }

    /// The agent's name in the path, its second parameter.
    pub fn agent_name(&self) -> Result<AgentName, ApiError> {
        AgentName::parse(self.param(1)).map_err(|error| {
            ApiError::parameter(
                ErrorCode::InvalidName,
                "name",
                format_args!("\"{}\" {error}", self.param(1)),
            )
        })
    }

    /// The message's id in the path, its second parameter.
    pub fn message_id(&self) -> Result<MessageId, ApiError> {
        MessageId::parse(self.param(1)).ok_or_else(|| {
            ApiError::parameter(
                ErrorCode::InvalidName,
                "id",
                format_args!(
                    "\"{}\" is not a message id, msg_<32 hex digits>_<agent>",
                    self.param(1)
                ),
            )
        })
    }

    /// The path's second parameter, as it came.
    pub fn second(&self) -> &str {
        self.param(1)
    }

    /// The path's first parameter, as it came.
    pub fn id(&self) -> &str {
        self.param(0)
    }

    /// The incarnation that the caller believes to act for; an empty header
    /// counts as absent.
    pub fn agent_id(&self) -> Result<Option<AgentId>, ApiError> {
        let header = self.request.headers().get("agent-id")?;
        let Some(text) = header.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let id = AgentId::parse(&text).ok_or_else(|| {
            ApiError::parameter(
                ErrorCode::InvalidParameter,
                "Agent-Id",
                "must be agt_<32 hex digits>",
            )
        });
        id.map(Some)
    }

    /// `host` or `host:port` that the client asked.
    pub fn host(&self) -> &str {
        host(&self.url)
    }

    /// For the log: who calls.
    pub fn note_caller(&self, token_id: &str) {
        self.cost.caller.replace(Some(token_id.to_owned()));
    }

    /// For the log: one request to a mailbox, and what it wrote.
    pub fn note_mailbox(&self, rows: u32) {
        self.cost.mailbox.set(self.cost.mailbox.get() + 1);
        self.cost.rows.set(self.cost.rows.get() + rows);
    }

    /// Does something that the answer need not wait for.
    pub fn after_answer(&self, work: impl Future<Output = ()> + 'static) {
        self.runtime.wait_until(work);
    }

    /// Notes that the token was used, once a minute, after the answer.
    pub fn touch_token(&self, token_id: String) {
        let (env, now) = (self.env.clone(), self.now);
        let not_since = now - self.settings.timing.seen_grain;
        self.after_answer(async move {
            let touched = match Db::new(&env) {
                Ok(db) => store::tokens::touch(&db, &token_id, now, not_since).await,
                Err(error) => Err(error),
            };
            if let Err(error) = touched {
                crate::log::fault("touch_token", error.cause.as_deref().unwrap_or_default());
            }
        });
    }
}

/// `host` or `host:port` of an absolute URL.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
