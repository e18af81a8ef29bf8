//! Times that outlive a process. They are measured by the clock that goes on while
//! the machine is suspended, and are worth nothing after it was started again. No
//! wall clock is asked.

use multiclaude_hybrid_bridge::clock;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

/// Bytes of a deadline's file.
const LENGTH: usize = 64;

/// A moment since this machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now, by `CLOCK_BOOTTIME`.
    pub fn now() -> Self {
        Self(clock::since_boot())
    }

    /// This much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long until then; zero if it is past.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(clock::since_boot())
    }

    /// How long ago it was; zero if it is still to come.
    pub fn ago(self) -> Duration {
        clock::since_boot().saturating_sub(self.0)
    }

    /// Is it past?
    pub fn is_past(self) -> bool {
        self.left().is_zero()
    }
}

/// Writes a moment into a file, in place: no space is needed for a second one, so
/// that a full disk keeps no lease from being renewed.
///
/// # Errors
/// As `write`.
pub fn write(path: &Path, moment: Moment) -> io::Result<()> {
    let file =
        fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let mut line = Vec::with_capacity(LENGTH);
    let _ = write!(line, "{} {}", boot(), moment.0.as_millis());
    line.resize(LENGTH - 1, b' ');
    line.push(b'\n');
    file.write_all_at(&line, 0)
}

/// The moment in a file; nothing if there is none, or if the machine was started
/// since.
pub fn read(path: &Path) -> Option<Moment> {
    // A reader may meet a writer in the middle of the line.
    (0..3).find_map(|_| parse(&fs::read_to_string(path).ok()?, &boot()))
}

fn parse(text: &str, boot: &str) -> Option<Moment> {
    let (of, millis) = text.trim_end().split_once(' ')?;
    (text.len() == LENGTH && of == boot).then_some(())?;
    millis.parse().ok().map(|millis| Moment(Duration::from_millis(millis)))
}

/// Which start of this machine is this?
pub fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_as_it_was_written_and_only_until_the_machine_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        assert_eq!(read(&path), None);
        for secs in [90_000, 5] {
            let moment = Moment(Duration::from_secs(secs));
            write(&path, moment).unwrap();
            assert_eq!(read(&path), Some(moment));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text, "another start"), None);
        assert_eq!(parse(&text[..40], &boot()), None);
    }

    #[test]
    fn what_is_past_has_nothing_left() {
        let past = Moment(Duration::ZERO);
        assert!(past.is_past() && past.ago() > Duration::ZERO);
        let next = Moment::now().after(Duration::from_secs(100));
        assert!(!next.is_past() && next.left() > Duration::from_secs(90));
    }
}
