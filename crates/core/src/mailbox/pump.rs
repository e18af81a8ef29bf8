//! The runs of the object's own work, and its alarm.
//!
//! One run at a time does all that is due. It begins with the event that makes
//! something due; an alarm is set, too, in case the object dies. Setting an alarm
//! costs a row, so a command only moves it earlier. After the alarm's own run it is set
//! to the next due time.

use crate::{Ms, timing::Timing};

/// The longest wait between runs that fail one after the other.
const FAILURE_WAIT_MAX: Ms = 300_000;
/// When an alarm that failed before its run is tried again.
const ALARM_RETRY: Ms = 60_000;

/// An event of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Something may have changed: by a load, a command, a frame or the end of a stream.
    Changed,
    /// The same, and a message was stored.
    Stored,
    /// The alarm went off, and is consumed.
    Alarm,
    /// The alarm could not be handled.
    AlarmFailed,
    /// A run has done all that was due.
    RunFinished,
    /// A run has done as much as one event may; more is due.
    RunStopped,
    /// A run failed.
    RunFailed,
}

/// The needs of the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Something is due.
    pub run: bool,
    /// When the object must be awake if nothing else happens.
    pub wake_at: Option<Ms>,
}

/// A change of the alarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alarm {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is set to this moment, in place of another one.
    Set(Ms),
    /// None is needed.
    Clear,
}

/// The consequences of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    /// The change of the alarm.
    pub alarm: Alarm,
    /// Begin a run; the object notes that with [`Pump::begin`].
    pub run: Option<Run>,
}

/// A run, by its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// A command or a frame.
    Command,
    /// The alarm.
    Alarm {
        /// If messages were stored since the last alarm, keep one set for this time, so
        /// that the next messages need not set one.
        guard: Option<Ms>,
    },
}

/// The state of the alarm and the run, as far as this memory knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pump {
    armed: Option<Ms>,
    run: Option<Run>,
    stored: bool,
    failures: u32,
}

impl Pump {
    /// When the alarm is set for, as far as this memory knows.
    pub fn armed(self) -> Option<Ms> {
        self.armed
    }

    /// A run begins; `None`: there is one already.
    pub fn begin(self, run: Run) -> Option<Self> {
        self.run.is_none().then_some(Self { run: Some(run), ..self })
    }

    /// The alarm was set to `armed`, or deleted.
    #[must_use]
    pub fn with_alarm(self, armed: Option<Ms>) -> Self {
        Self { armed, ..self }
    }

    /// The state after `event`, and its consequences for a mailbox with these needs.
    pub fn after(self, event: Event, needs: Needs, now: Ms, timing: &Timing) -> (Self, Actions) {
        match event {
            Event::Changed | Event::Stored => self.after_change(event, needs, now, timing),
            Event::Alarm => self.after_alarm(needs, now + timing.push_guard),
            Event::AlarmFailed => {
                let first = now + ALARM_RETRY;
                let needs = Needs { wake_at: Some(first), ..needs };
                (self, Actions { alarm: self.earlier(needs, first), ..Actions::default() })
            }
            Event::RunFinished | Event::RunStopped | Event::RunFailed => {
                self.after_run(event, needs, now, timing)
            }
        }
    }

    fn after_change(self, event: Event, needs: Needs, now: Ms, timing: &Timing) -> (Self, Actions) {
        let run = (needs.run && self.run.is_none()).then_some(Run::Command);
        // A run does at once what is due.
        let running = run.or(self.run).is_some();
        let usually = if running { now + timing.push_guard } else { now };
        let alarm = self.earlier(needs, self.not_before(usually, now, timing));
        let stored = self.stored || event == Event::Stored;
        (Self { stored, ..self }, Actions { alarm, run })
    }

    fn after_alarm(self, needs: Needs, guard: Ms) -> (Self, Actions) {
        let stored = self.stored.then_some(guard);
        let at = needs.wake_at.map(|at| at.max(guard)).into_iter().chain(stored).min();
        let run = self.run.is_none().then_some(Run::Alarm { guard: stored });
        let alarm = at.map_or(Alarm::Keep, Alarm::Set);
        (Self { armed: None, stored: false, ..self }, Actions { alarm, run })
    }

    fn after_run(self, event: Event, needs: Needs, now: Ms, timing: &Timing) -> (Self, Actions) {
        let failures = match event {
            Event::RunFailed => self.failures.saturating_add(1),
            Event::RunFinished => 0,
            _ => self.failures,
        };
        let next = Self { run: None, failures, ..self };
        let first = next.not_before(now, now, timing);
        let alarm = match self.run {
            _ if event == Event::RunStopped => Alarm::Set(now),
            Some(Run::Alarm { guard }) => {
                let at = needs.wake_at.map(|at| at.max(first)).into_iter().chain(guard);
                match at.min() {
                    at if at == self.armed => Alarm::Keep,
                    at => at.map_or(Alarm::Clear, Alarm::Set),
                }
            }
            _ => next.earlier(needs, first),
        };
        (next, Actions { alarm, run: None })
    }

    /// The alarm for `needs`, not before `first`, unless one is set that is early enough.
    fn earlier(self, needs: Needs, first: Ms) -> Alarm {
        let at = needs.wake_at.map(|at| at.max(first));
        let armed = |at| self.armed.is_some_and(|armed| armed <= at);
        at.filter(|at| !armed(*at)).map_or(Alarm::Keep, Alarm::Set)
    }

    /// The earliest moment for an alarm: `usually`, unless runs have failed. Each failure
    /// doubles the wait.
    fn not_before(self, usually: Ms, now: Ms, timing: &Timing) -> Ms {
        let guard = timing.push_guard;
        match self.failures {
            0 => usually,
            failures => now + (guard << (failures - 1).min(10)).min(FAILURE_WAIT_MAX.max(guard)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_000_000;
    const GUARD: Ms = 5_000;
    const IDLE: Needs = Needs { run: false, wake_at: None };
    const DUE: Needs = Needs { run: true, wake_at: Some(NOW) };

    fn after(pump: Pump, event: Event, needs: Needs) -> (Pump, Actions) {
        let (next, actions) = pump.after(event, needs, NOW, &Timing::default());
        let next = match actions.alarm {
            Alarm::Keep => next,
            Alarm::Set(at) => next.with_alarm(Some(at)),
            Alarm::Clear => next.with_alarm(None),
        };
        (actions.run.and_then(|run| next.begin(run)).unwrap_or(next), actions)
    }

    fn wake(at: Ms) -> Needs {
        Needs { wake_at: Some(at), ..IDLE }
    }

    #[test]
    fn a_command_begins_one_run_and_sets_an_alarm_and_the_next_command_neither() {
        let (pump, first) = after(Pump::default(), Event::Stored, DUE);
        assert_eq!(first.run, Some(Run::Command));
        assert_eq!(first.alarm, Alarm::Set(NOW + GUARD));
        let (pump, second) = after(pump, Event::Changed, DUE);
        assert_eq!((second.run, second.alarm), (None, Alarm::Keep));
        assert_eq!(pump.begin(Run::Command), None);
    }

    #[test]
    fn a_command_moves_the_alarm_earlier_only() {
        let armed = Pump::default().with_alarm(Some(NOW + 100));
        assert_eq!(after(armed, Event::Changed, wake(NOW + 200)).1.alarm, Alarm::Keep);
        assert_eq!(after(armed, Event::Changed, IDLE).1.alarm, Alarm::Keep);
        assert_eq!(after(armed, Event::Changed, wake(NOW + 50)).1.alarm, Alarm::Set(NOW + 50));
    }

    #[test]
    fn an_alarm_is_set_again_before_its_run_and_moved_to_where_it_belongs_after_it() {
        let (pump, begun) = after(Pump::default().with_alarm(Some(NOW)), Event::Alarm, DUE);
        assert_eq!(begun.alarm, Alarm::Set(NOW + GUARD));
        assert_eq!(begun.run, Some(Run::Alarm { guard: None }));
        let later = wake(NOW + 90_000);
        assert_eq!(after(pump, Event::RunFinished, later).1.alarm, Alarm::Set(NOW + 90_000));
        assert_eq!(after(pump, Event::RunFinished, IDLE).1.alarm, Alarm::Clear);
        assert_eq!(after(pump, Event::RunFinished, wake(NOW + GUARD)).1.alarm, Alarm::Keep);
        // Without anything to do no alarm is set at all.
        let (pump, begun) = after(Pump::default().with_alarm(Some(NOW)), Event::Alarm, IDLE);
        assert_eq!(begun.alarm, Alarm::Keep);
        assert_eq!(pump.armed(), None, "an alarm that went off is none");
        assert_eq!(after(pump, Event::RunFinished, IDLE).1.alarm, Alarm::Keep);
    }

    #[test]
    fn a_mailbox_in_which_messages_were_stored_keeps_an_alarm_for_the_next_ones() {
        let (pump, _) = after(Pump::default(), Event::Stored, IDLE);
        let (pump, begun) = after(pump, Event::Alarm, IDLE);
        assert_eq!(begun.alarm, Alarm::Set(NOW + GUARD));
        let (pump, ended) = after(pump, Event::RunFinished, wake(NOW + 90_000));
        assert_eq!(ended.alarm, Alarm::Keep, "it stays at the guard");
        // None was stored since: the next alarm is the last.
        let (pump, begun) = after(pump, Event::Alarm, IDLE);
        assert_eq!(begun.alarm, Alarm::Keep);
        assert_eq!(after(pump, Event::RunFinished, IDLE).0, Pump::default());
    }

    #[test]
    fn an_alarm_during_a_run_begins_no_other_one() {
        let (pump, _) = after(Pump::default(), Event::Changed, DUE);
        let (pump, alarm) = after(pump, Event::Alarm, DUE);
        assert_eq!((alarm.run, alarm.alarm), (None, Alarm::Set(NOW + GUARD)));
        assert_eq!(after(pump, Event::RunFinished, IDLE).1.alarm, Alarm::Keep);
    }

    #[test]
    fn a_run_that_stopped_goes_on_at_once_and_failing_ones_wait_twice_as_long_each_time() {
        let (running, _) = after(Pump::default(), Event::Changed, DUE);
        assert_eq!(after(running, Event::RunStopped, DUE).1.alarm, Alarm::Set(NOW));
        let armed = running.with_alarm(Some(NOW - 1));
        assert_eq!(after(armed, Event::RunStopped, IDLE).1.alarm, Alarm::Set(NOW));
        let mut pump = Pump::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            let (running, _) = after(pump.with_alarm(None), Event::Alarm, DUE);
            (pump, _) = after(running, Event::RunFailed, DUE);
            waits.push(pump.armed().unwrap() - NOW);
        }
        waits.dedup();
        assert_eq!(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]);
        let (running, _) = after(pump, Event::Changed, DUE);
        let (pump, _) = after(running, Event::RunFinished, IDLE);
        assert_eq!(pump.failures, 0);
    }

    #[test]
    fn an_alarm_that_failed_comes_again_within_a_minute() {
        let failed =
            |armed| after(Pump::default().with_alarm(armed), Event::AlarmFailed, IDLE).1.alarm;
        assert_eq!(failed(None), Alarm::Set(NOW + 60_000));
        assert_eq!(failed(Some(NOW + 90_000)), Alarm::Set(NOW + 60_000));
        assert_eq!(failed(Some(NOW + 10)), Alarm::Keep);
    }
}
