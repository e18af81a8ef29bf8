//! A task that ends with its handle.

use tokio::task::JoinHandle;

/// Ends a task when it is dropped.
#[derive(Debug)]
pub struct AbortOnDrop<T = ()>(pub JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
