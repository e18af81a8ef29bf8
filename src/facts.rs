//! The facts about a request for the log: its route, its caller and its cost.

use serde::Serialize;
use std::cell::{Cell, RefCell};

#[derive(Debug, Default, Serialize)]
pub struct Facts {
    /// The pattern of its path; empty if there is none.
    pub route: Cell<&'static str>,
    /// The token's id.
    pub caller: RefCell<Option<String>>,
    /// D1 statements.
    pub d1: Cell<u32>,
    /// Requests to mailboxes.
    pub mailbox: Cell<u32>,
    /// Rows that mailboxes wrote.
    pub rows: Cell<u32>,
}
