//! What a request costs, for the log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What a request has cost so far.
#[derive(Debug, Default)]
pub struct Cost {
    /// The token's id.
    pub caller: RefCell<Option<String>>,
    /// D1 statements.
    pub d1: Rc<Cell<u32>>,
    /// Requests to mailboxes.
    pub mailbox: Cell<u32>,
    /// Rows that mailboxes wrote.
    pub rows: Cell<u32>,
}
