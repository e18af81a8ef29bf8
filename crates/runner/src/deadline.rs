//! Points in time that outlive a process. They are measured by a clock that counts
//! suspension, and are not valid after the machine was rebooted. The wall clock is not
//! used.

use multiclaude_hybrid_bridge::clock;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

/// Bytes of a deadline's file.
const LENGTH: usize = 64;

/// A point in time, counted from the boot of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now, by `CLOCK_BOOTTIME`.
    pub fn now() -> Self {
        Self(clock::since_boot())
    }

    /// The moment this much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// The time until then; zero if it is past.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(clock::since_boot())
    }

    /// The time since then; zero if it is still to come.
    pub fn ago(self) -> Duration {
        clock::since_boot().saturating_sub(self.0)
    }

    /// Is it past?
    pub fn is_past(self) -> bool {
        self.left().is_zero()
    }
}

/// Writes a moment into a file, in place: it needs no further space, so a full disk does
/// not prevent the renewal of a lease.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, moment: Moment) -> io::Result<()> {
    let file =
        fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let mut line = Vec::with_capacity(LENGTH);
    let _ = write!(line, "{} {}", boot_id(), moment.0.as_millis());
    line.resize(LENGTH - 1, b' ');
    line.push(b'\n');
    file.write_all_at(&line, 0)
}

/// The moment in a file; `None` if there is none, or if the machine was rebooted since.
pub fn read(path: &Path) -> Option<Moment> {
    // The line may be half written.
    (0..3).find_map(|_| parse(&fs::read_to_string(path).ok()?, &boot_id()))
}

fn parse(text: &str, boot_id: &str) -> Option<Moment> {
    let (of, millis) = text.trim_end().split_once(' ')?;
    (text.len() == LENGTH && of == boot_id).then_some(())?;
    millis.parse().ok().map(|millis| Moment(Duration::from_millis(millis)))
}

/// The id of the current boot of this machine.
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_as_it_was_written_until_the_machine_is_rebooted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        assert_eq!(read(&path), None);
        for secs in [90_000, 5] {
            let moment = Moment(Duration::from_secs(secs));
            write(&path, moment).unwrap();
            assert_eq!(read(&path), Some(moment));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text, "another boot"), None);
        assert_eq!(parse(&text[..40], &boot_id()), None);
    }

    #[test]
    fn a_past_moment_has_no_time_left() {
        let past = Moment(Duration::ZERO);
        assert!(past.is_past() && past.ago() > Duration::ZERO);
        let next = Moment::now().after(Duration::from_secs(100));
        assert!(!next.is_past() && next.left() > Duration::from_secs(90));
    }
}
