//! Requests for workers: pushes, notices of their end, and a repo's webhook secrets.
//!
//! | module | what |
//! |---|---|
//! | [`outbox`] | drains the outbox after an answer, or every minute |
//! | [`handover`] | hands requests over to the mailbox that pushes them |
//! | [`notices`] | notifies requesters of the end of their workers |
//! | [`secrets`] | a repo's webhook secrets |

pub mod handover;
pub mod notices;
pub mod outbox;
pub mod secrets;
