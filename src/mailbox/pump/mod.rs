//! The object's own work: a run does all that is due, and an alarm covers its failure.
//!
//! One run at a time. It is spawned in the turn that stores a message, and the sender's answer
//! does not wait for it. The runtime holds an outgoing request back until the writes
//! before it are on disk, so a push never precedes its message.
//! Core decides which step comes next (`Mailbox::next`), and when the alarm goes off
//! (`Pump::after`).

mod marks;
mod push;
mod report;

use super::Refused;
use super::object::MailboxObject;
use crate::{clock, log};
use multiclaude_hybrid_core::mailbox::{Actions, Alarm, Event, Needs, Next, Run};
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::message::FailureReason;
use std::rc::Rc;
use std::time::Duration;
use worker::wasm_bindgen::JsValue;
use worker::{Delay, js_sys};

/// Steps of one run: the runtime allows each event a bounded number of outgoing requests.
const STEPS_MAX: u32 = 200;
/// Attempts to set the alarm again, one second apart.
const SET_TRIES: u32 = 10;

impl MailboxObject {
    /// Acts on an event: begins a run, sets the alarm.
    pub(super) fn follow(self: &Rc<Self>, event: Event) -> Result<(), Refused> {
        let Actions { alarm, run } = self.decide(event);
        if let Some(run) = run {
            let object = Rc::clone(self);
            self.state.wait_until(async move {
                let result = object.run(run).await;
                object.log_fault("run", result);
            });
        }
        self.change_alarm(alarm)
    }

    fn decide(&self, event: Event) -> Actions {
        let now = clock::now();
        // A mailbox that could not be loaded must be loaded again.
        let to_load = Needs { run: false, wake_at: Some(now) };
        let needs = self.with(|core| core.needs(now)).unwrap_or(to_load);
        // An alarm is set even if the settings cannot be read.
        let timing = self.settings().map_or_else(|_| Timing::default(), |all| all.timing.clone());
        let (pump, actions) = self.pump.get().after(event, needs, now, &timing);
        self.pump.set(pump);
        actions
    }

    /// The alarm went off, and is consumed. Another one is set before any work, in case the
    /// object dies.
    pub(super) async fn wake(self: &Rc<Self>) -> Result<(), Refused> {
        self.pump.set(self.pump.get().with_alarm(None));
        self.load()?;
        let Actions { alarm, run } = self.decide(Event::Alarm);
        self.change_alarm(alarm)?;
        match run {
            Some(run) => self.run(run).await,
            None => Ok(()),
        }
    }

    /// After an alarm that failed: sets another one, if none is set. Locked storage rejects
    /// alarms, so retry for 10 s. After the last error the runtime calls the alarm again.
    pub(super) async fn wake_later(&self) -> Result<(), Refused> {
        let mut tries = 0;
        loop {
            let set = self.change_alarm(self.decide(Event::AlarmFailed).alarm);
            tries += 1;
            if set.is_ok() || tries == SET_TRIES {
                return set;
            }
            Delay::from(Duration::from_secs(1)).await;
        }
    }

    /// A run from its beginning to its end, if there is none.
    async fn run(self: &Rc<Self>, run: Run) -> Result<(), Refused> {
        let Some(pump) = self.pump.get().begin(run) else { return Ok(()) };
        self.pump.set(pump);
        let event = self.steps().await.unwrap_or_else(|refused| {
            self.log_fault("run", Err(refused));
            // A failed write has discarded the memory.
            let loaded = self.load().map(|_| ());
            self.log_fault("load", loaded);
            Event::RunFailed
        });
        self.change_alarm(self.decide(event).alarm)
    }

    async fn steps(self: &Rc<Self>) -> Result<Event, Refused> {
        for _ in 0..STEPS_MAX {
            let now = clock::now();
            match self.with(|core| core.next(now))? {
                Next::Fail(reason, seqs) => {
                    self.fail(&seqs, reason)?;
                    self.let_others_run().await;
                }
                Next::Offer => self.offer().await?,
                Next::Push => self.push().await?,
                Next::Notify(batch) => self.send_notice(&batch).await?,
                Next::ReportChannel(delivery) => self.report_channel(delivery).await?,
                Next::ReportPresence(seen) => self.report_presence(seen).await?,
                Next::Purge => {
                    self.purge()?;
                    self.let_others_run().await;
                }
                Next::Idle => return Ok(Event::RunFinished),
            }
        }
        Ok(Event::RunStopped)
    }

    /// Yields between two large changes.
    async fn let_others_run(&self) {
        Delay::from(Duration::ZERO).await;
    }

    /// Setting an alarm is asynchronous only in its interface: it is part of this turn's
    /// atomic write.
    ///
    /// # Errors
    /// The storage accepts no alarm now.
    fn change_alarm(&self, alarm: Alarm) -> Result<(), Refused> {
        let storage = self.state.storage();
        let storage = storage.as_raw();
        let (at, promise) = match alarm {
            Alarm::Keep => return Ok(()),
            Alarm::Set(at) => {
                let date = js_sys::Date::new(&JsValue::from_f64(at as f64));
                (Some(at), storage.set_alarm(date, JsValue::NULL.into()))
            }
            Alarm::Clear => (None, storage.delete_alarm(JsValue::NULL.into())),
        };
        // The promise only signals back-pressure.
        let _ = promise.map_err(|error| Refused::Unavailable {
            cause: format!("no alarm could be set: {}", worker::Error::from(error)),
        })?;
        self.pump.set(self.pump.get().with_alarm(at));
        Ok(())
    }

    pub(super) fn fail(&self, seqs: &[u64], reason: FailureReason) -> Result<(), Refused> {
        let failing = self.sql.stored(seqs)?;
        self.write(|core| core.fail(failing, reason, clock::now()))
    }

    /// Deletes old rows, and saves where the next load can begin.
    fn purge(&self) -> Result<(), Refused> {
        self.flush()?;
        let next = self.sql.purge(clock::now())?;
        self.with(|core| core.purged(next))?;
        self.sql.save_low_water(self.with(|core| core.low_water())?)?;
        log::worked(&self.name, "purge", self.sql.take_rows());
        Ok(())
    }
}
