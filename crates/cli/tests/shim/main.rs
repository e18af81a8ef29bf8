//! The built binary in the place of multiclaude, and stand-ins for the real
//! programs behind it that write down how they were called.

// Of a test's helpers, too: whatever fails is the test's failure.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod bench;
mod install;
mod itself;
mod pane;
mod passing;
