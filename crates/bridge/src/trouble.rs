//! A condition that is logged when it begins, when its reason changes, and when it ends,
//! and not each time it is observed.

use crate::lock::locked;
use std::sync::Mutex;
use tracing::{info, warn};

/// A lasting condition, such as a full disk.
#[derive(Debug)]
pub struct Trouble {
    begins: &'static str,
    ends: &'static str,
    reason: Mutex<Option<String>>,
}

impl Trouble {
    /// A condition that does not hold yet, and the texts to log at its begin and end.
    pub const fn new(begins: &'static str, ends: &'static str) -> Self {
        Self { begins, ends, reason: Mutex::new(None) }
    }

    /// Notes that the condition holds, for this reason.
    pub fn begin(&self, about: &str, reason: impl ToString) {
        let reason = reason.to_string();
        let mut known = locked(&self.reason);
        if known.as_ref() != Some(&reason) {
            warn!(about, reason, "{}", self.begins);
            *known = Some(reason);
        }
    }

    /// Notes that the condition does not hold.
    pub fn end(&self, about: &str) {
        if locked(&self.reason).take().is_some() {
            info!(about, "{}", self.ends);
        }
    }

    /// Notes that the condition holds if `result` is an error; returns the value otherwise.
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

    /// Why the condition holds, if it does.
    pub fn reason(&self) -> Option<String> {
        locked(&self.reason).clone()
    }
}
