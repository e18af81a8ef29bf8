//! The only place that asks for the time. On the Workers runtime it advances
//! with I/O only; everything that needs an order uses a sequence instead.

use multiclaude_hybrid_core::Ms;

/// Milliseconds since the epoch.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Ms {
    worker::js_sys::Date::now() as Ms
}
