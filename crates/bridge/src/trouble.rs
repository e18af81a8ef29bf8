//! A condition that is logged when it begins, when its reason changes, and when
//! it ends, however often it is met.

use crate::lock::locked;
use std::sync::Mutex;
use tracing::{info, warn};

/// One condition.
#[derive(Debug)]
pub struct Trouble {
    begins: &'static str,
    ends: &'static str,
    reason: Mutex<Option<String>>,
}

impl Trouble {
    /// A condition that is not met yet, and what is logged of it.
    pub const fn new(begins: &'static str, ends: &'static str) -> Self {
        Self { begins, ends, reason: Mutex::new(None) }
    }

    /// It is met, for this reason.
    pub fn begin(&self, about: &str, reason: impl ToString) {
        let reason = reason.to_string();
        let mut known = locked(&self.reason);
        if known.as_ref() != Some(&reason) {
            warn!(about, reason, "{}", self.begins);
            *known = Some(reason);
        }
    }

    /// It is not met.
    pub fn end(&self, about: &str) {
        if locked(&self.reason).take().is_some() {
            info!(about, "{}", self.ends);
        }
    }

    /// It is met if `result` is an error; the value otherwise.
    pub fn note<T, E: ToString>(&self, about: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.end(about);
                Some(value)
            }
            Err(error) => {
                self.begin(about, error);
                None
            }
        }
    }

    /// Why it is met.
    pub fn reason(&self) -> Option<String> {
        locked(&self.reason).clone()
    }
}
