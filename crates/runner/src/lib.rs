//! The runner: claims requests for workers, and runs a worker for each on this machine.
//!
//! | module | what is in it |
//! |---|---|
//! | [`run`] | the daemon: starts everything, drains at its end |
//! | [`options`] | options, and errors of the start |
//! | [`shared`], [`source`] | state that all parts share, and the repos that are served |
//! | [`claims`] | claims requests of one repo, by polling or when one is pushed |
//! | [`workers`] | the workers that the runner has |
//! | [`worker`] | the life of one worker, from its claim to its report |
//! | [`lease`] | renews a worker's lease, and acts on the answers |
//! | [`supervisor`] | the small process that each worker runs under |
//! | [`executor`] | process, container, multiclaude: the ways to run a worker |
//! | [`socket`] | the socket through which a worker sends and receives as itself |
//! | [`listener`] | signed pushes of the coordinator |
//! | [`job`], [`dirs`] | files that the runner and the supervisors share |
//! | [`deadline`] | times that outlive a process and count suspension |
//! | [`status`] | the content of `runner status` |
//!
//! # After a crash
//!
//! The supervisors outlive the runner. A runner that starts reads the directories of
//! the workers. It follows a worker whose supervisor lives, reports one that has ended,
//! starts one that was never started, and cleans up one whose supervisor was killed and
//! reports it as failed.
//!
//! *In scope:* requests for workers of repos that a token of this machine covers.
//! *Out of scope:* the coordinator's wire (the client crate), settings and secrets
//! (the command line). Linux only: it needs subreapers, `/proc` and control groups.

pub mod claims;
pub mod deadline;
pub mod dirs;
pub mod executor;
pub mod job;
pub mod lease;
pub mod listener;
pub mod options;
pub mod run;
pub mod shared;
pub mod socket;
pub mod source;
pub mod status;
pub mod supervisor;
pub mod worker;
pub mod workers;
