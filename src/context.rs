//! One request, and what its handler may use.

use crate::clock;
use crate::error::ApiError;
use crate::facts::Facts;
use crate::settings::Settings;
use crate::store::Db;
use crate::store::tokens::touch;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::{ErrorCode, Repo};
use std::cell::OnceCell;
use std::fmt::Display;
use std::rc::Rc;
use worker::{Env, Request};

/// The parts of a path that its pattern names.
pub type Parts = Vec<(&'static str, String)>;

pub struct Context {
    pub request: Request,
    pub env: Env,
    pub settings: Rc<Settings>,
    pub now: Ms,
    pub url: String,
    parts: Parts,
    runtime: worker::Context,
    db: OnceCell<Db>,
    facts: Rc<Facts>,
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
        facts: Rc<Facts>,
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
            facts,
        }
    }

    pub fn db(&self) -> Result<&Db, ApiError> {
        if self.db.get().is_none() {
            let _ = self.db.set(Db::counting(&self.env, Rc::clone(&self.facts))?);
        }
        self.db.get().ok_or_else(|| ApiError::internal("no database"))
    }

    /// A name or id in the path.
    pub fn in_path<T, E: Display>(
        &self,
        part: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ApiError> {
        let found = self.parts.iter().find(|(name, _)| *name == part);
        let text = found.map_or("", |(_, text)| text);
        parse(text).map_err(|error| {
            let message = format_args!("\"{text}\" {error}");
            ApiError::parameter(ErrorCode::InvalidName, part, message)
        })
    }

    /// The repo of the path. Handlers get it with the caller, or check a signature first.
    pub fn repo(&self) -> Result<Repo, ApiError> {
        self.in_path("repo", Repo::parse)
    }

    pub fn note_caller(&self, token_id: &str) {
        self.facts.caller.replace(Some(token_id.to_owned()));
    }

    /// For the log: one request to a mailbox, and what it wrote.
    pub fn note_mailbox(&self, rows: u32) {
        self.facts.mailbox.update(|count| count + 1);
        self.facts.rows.update(|count| count + rows);
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
            let touched = async { touch(&Db::new(&env)?, &token_id, now, not_since).await };
            if let Err(error) = touched.await {
                crate::log::fault("touch_token", &error.to_string());
            }
        });
    }
}

/// `host` or `host:port` of an absolute URL.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
