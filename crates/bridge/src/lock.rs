//! Locking without poison.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic of another thread leaves nothing half changed in here: values
/// are replaced, not built up under a lock.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
