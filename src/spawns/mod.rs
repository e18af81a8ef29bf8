//! Requests for workers: pushes, and notices of their end.
//!
//! | module | what |
//! |---|---|
//! | [`outbox`] | drains the outbox after an answer, or every minute |
//! | [`handover`] | hands requests over to the mailbox that pushes them |
//! | [`notices`] | notifies requesters of the end of their workers |

pub mod handover;
pub mod notices;
pub mod outbox;
