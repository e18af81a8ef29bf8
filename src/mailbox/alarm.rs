//! The object's alarm: what it does when it goes off, and when it is set.

use super::command::Refused;
use super::object::Inner;
use crate::clock;
use crate::settings::Settings;
use multiclaude_hybrid_core::Ms;
use std::rc::Rc;
use std::time::Duration;
use worker::wasm_bindgen::JsValue;
use worker::{Delay, js_sys};

/// When an alarm that failed before any work is tried again.
const RETRY_MS: Ms = 60_000;
/// How often, each a second after the other, setting it again is tried.
const SET_TRIES: u32 = 10;
/// The longest wait between drains that fail one after the other.
const FAULT_WAIT_MAX_MS: Ms = 300_000;

impl Inner {
    /// The alarm went off, and is consumed. Another one is set before any
    /// work, in case the object dies at it, and moved to where it belongs
    /// afterwards.
    pub(super) async fn wake(self: &Rc<Self>) -> Result<(), Refused> {
        self.armed.set(None);
        let settings = self.settings()?;
        self.load(&settings)?;
        let guard = clock::now() + settings.timing.push_guard;
        // A busy mailbox stays guarded, so that no message has to set an alarm.
        let busy = self.busy.replace(false).then_some(guard);
        let at = self.with(|core| core.wake_at(clock::now()))?.map(|at| at.max(guard));
        if let Some(at) = at.into_iter().chain(busy).min() {
            self.set_alarm(Some(at))?;
        }
        self.drain().await;
        let now = clock::now();
        let at =
            self.with(|core| core.wake_at(now))?.map(|at| at.max(self.not_before(now, &settings)));
        let wanted = at.into_iter().chain(busy).min();
        if wanted != self.armed.get() && !self.draining.get() {
            self.set_alarm(wanted)?;
        }
        Ok(())
    }

    /// After an alarm that failed: sets another one, if none is set. Storage that is
    /// locked takes none, so it waits a little for that; the last error is for the
    /// runtime, which then calls the alarm again.
    pub(super) async fn wake_later(&self) -> Result<(), Refused> {
        let mut tries = 0;
        loop {
            let at = clock::now() + RETRY_MS;
            let set = match self.armed.get() {
                Some(armed) if armed <= at => Ok(()),
                _ => self.set_alarm(Some(at)),
            };
            tries += 1;
            if set.is_ok() || tries == SET_TRIES {
                return set;
            }
            Delay::from(Duration::from_secs(1)).await;
        }
    }

    /// The earliest moment for an alarm: now, unless a drain does at once what
    /// is due, or drains have failed, each of which doubles the wait.
    fn not_before(&self, now: Ms, settings: &Settings) -> Ms {
        let guard = settings.timing.push_guard;
        match self.faults.get() {
            0 if self.draining.get() => now + guard,
            0 => now,
            faults => now + (guard << (faults - 1).min(10)).min(FAULT_WAIT_MAX_MS.max(guard)),
        }
    }

    /// Sets the alarm, if none is set that is early enough.
    pub(super) fn arm(&self, settings: &Settings) -> Result<(), Refused> {
        let now = clock::now();
        let Some(at) = self.with(|core| core.wake_at(now))? else {
            return Ok(());
        };
        let at = at.max(self.not_before(now, settings));
        if self.armed.get().is_some_and(|armed| armed <= at) {
            return Ok(());
        }
        self.set_alarm(Some(at))
    }

    /// Asynchronous in its interface alone: setting an alarm takes part in
    /// this turn's atomic write.
    ///
    /// # Errors
    /// The storage takes none at the moment.
    pub(super) fn set_alarm(&self, at: Option<Ms>) -> Result<(), Refused> {
        let storage = self.state.storage();
        let storage = storage.as_raw();
        let promise = match at {
            Some(at) => {
                let date = js_sys::Date::new(&JsValue::from_f64(at as f64));
                storage.set_alarm(date, JsValue::NULL.into())
            }
            None => storage.delete_alarm(JsValue::NULL.into()),
        };
        // The promise tells of back-pressure alone.
        let _ = promise.map_err(|error| Refused::Unavailable {
            cause: format!("no alarm could be set: {}", worker::Error::from(error)),
        })?;
        self.armed.set(at);
        Ok(())
    }
}
