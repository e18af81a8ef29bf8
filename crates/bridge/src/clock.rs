//! Clocks that count suspension, and the wall clock. `Instant` is for timeouts.

use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Time since the machine was booted, suspension included. `Instant` stops while a
/// laptop sleeps.
pub fn since_boot() -> Duration {
    // macOS has no CLOCK_BOOTTIME; its monotonic clock goes on during sleep.
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    of(clock)
}

/// Time since the machine was booted, without suspension.
pub fn awake() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Monotonic;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Uptime;
    of(clock)
}

fn of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The wall clock, in nanoseconds since the epoch.
pub fn wall_nanos() -> i64 {
    chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}

/// How long ago a file was last written; `None` if it does not exist.
pub fn age_of(path: &Path) -> Option<Duration> {
    let modified = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    let modified = modified.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(wall_ms()).ok()?);
    Some(now.saturating_sub(modified))
}

/// The wall clock, in milliseconds since the epoch.
pub fn wall_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
