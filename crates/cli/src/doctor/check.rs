//! The result of one check.

use crate::failure::Failure;
use crate::output::{Look, line};
use serde::Serialize;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Good,
    Warning,
    Fault,
}

/// A cause that several checks may find; it is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    NoLogin,
    Token(String),
    Away,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub what: String,
    pub state: State,
    pub found: String,
    pub hint: Option<String>,
    #[serde(skip)]
    pub(super) cause: Option<Cause>,
}

impl Check {
    fn new(what: &str, state: State, found: impl Into<String>) -> Self {
        Self { what: what.to_owned(), state, found: found.into(), hint: None, cause: None }
    }

    pub(super) fn good(what: &str, found: impl Into<String>) -> Self {
        Self::new(what, State::Good, found)
    }

    pub(super) fn warning(what: &str, found: impl Into<String>) -> Self {
        Self::new(what, State::Warning, found)
    }

    pub(super) fn fault(what: &str, found: impl Into<String>) -> Self {
        Self::new(what, State::Fault, found)
    }

    pub(super) fn failed(what: &str, failure: Failure) -> Self {
        let hint = failure.advice().map(Cow::into_owned);
        Self { hint, ..Self::fault(what, failure.message) }
    }

    pub(super) fn line(&self) -> String {
        let (mark, look) = match self.state {
            State::Good => ("ok", Look::Good),
            State::Warning => ("warning", Look::Warning),
            State::Fault => ("FAULT", Look::Bad),
        };
        let hint = self.hint.as_ref().map(|hint| format!("\n         hint: {hint}"));
        let gap = " ".repeat(8_usize.saturating_sub(mark.len()));
        let (mark, found) = (look.paint(mark), line(&self.found, 400));
        format!("{mark}{gap} {}: {found}{}", self.what, hint.unwrap_or_default())
    }

    #[must_use]
    pub(super) fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
