//! One request, and what its handler may use.

use crate::clock;
use crate::cost::Cost;
use crate::error::ApiError;
use crate::settings::Settings;
use crate::store::{self, Db};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::{ErrorCode, Repo};
use std::cell::OnceCell;
use std::rc::Rc;
use worker::{Env, Request};

/// The parts of a path that its pattern names.
pub type Parts = Vec<(&'static str, String)>;

pub struct Context {
    pub request: Request,
    pub env: Env,
    pub settings: Rc<Settings>,
    pub now: Ms,
    url: String,
    parts: Parts,
    runtime: worker::Context,
    db: OnceCell<Db>,
    cost: Rc<Cost>,
}

impl Context {
    /// A request for a route with these parts of its path.
    pub fn new(
        request: Request,
        url: String,
        env: Env,
        runtime: worker::Context,
        settings: Rc<Settings>,
        parts: Parts,
        cost: Rc<Cost>,
    ) -> Self {
        Self {
            request,
            env,
            settings,
            now: clock::now(),
            url,
            parts,
            runtime,
            db: OnceCell::new(),
            cost,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn db(&self) -> Result<&Db, ApiError> {
        if self.db.get().is_none() {
            let _ = self.db.set(Db::counting(&self.env, Rc::clone(&self.cost))?);
        }
        self.db.get().ok_or_else(|| ApiError::internal("no database"))
    }

    /// A part of the path, as it came; empty if the pattern has none of that name.
    pub fn part(&self, name: &str) -> &str {
        let found = self.parts.iter().find(|(part, _)| *part == name);
        found.map_or("", |(_, text)| text)
    }

    /// The repo of the path. Handlers get it with the caller, or check a signature first.
    pub fn repo(&self) -> Result<Repo, ApiError> {
        let text = self.part("repo");
        Repo::parse(text).map_err(|error| {
            let message = format_args!("\"{text}\" {error}");
            ApiError::parameter(ErrorCode::InvalidName, "repo", message)
        })
    }

    pub fn note_caller(&self, token_id: &str) {
        self.cost.caller.replace(Some(token_id.to_owned()));
    }

    /// For the log: one request to a mailbox, and what it wrote.
    pub fn note_mailbox(&self, rows: u32) {
        self.cost.mailbox.update(|count| count + 1);
        self.cost.rows.update(|count| count + rows);
    }

    /// Does work that the answer does not wait for.
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
