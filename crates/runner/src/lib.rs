//! The runner: claims requests for workers and runs a worker for each, on a machine
//! that runs workers for others.
//!
//! | module | what is in it |
//! |---|---|
//! | [`run`] | the daemon: starts everything, drains at its end |
//! | [`shared`] | what all parts share: options, files, workers |
//! | [`claims`] | asks one repo for requests, by webhook and by polling |
//! | [`worker`] | the life of one worker, from its claim to its report |
//! | [`lease`] | renews a worker's lease, and passes on what the answers say |
//! | [`supervisor`] | the small process that each worker runs under |
//! | [`executor`] | process, container, multiclaude: what the supervisor runs |
//! | [`socket`] | through which a worker sends and receives, as itself alone |
//! | [`listener`] | signed pushes of the coordinator |
//! | [`job`], [`dirs`] | files that the runner and the supervisors share |
//! | [`deadline`] | times that outlive a process and count suspension |
//! | [`status`] | what `runner status` shows |
//!
//! # What a crash leaves
//!
//! The supervisors outlive the runner. A runner that starts reads the directories of
//! the workers: one whose supervisor lives is followed further, one that has ended is
//! reported, one that was never started is started, and one whose supervisor was
//! killed is cleaned up and reported as failed.
//!
//! *In scope:* requests for workers of repos that a token of this machine covers.
//! *Out of scope:* the coordinator's wire (the client crate), settings and secrets
//! (the command line). Linux only: workers are held together by its subreapers,
//! `/proc` and control groups.

pub mod claims;
pub mod deadline;
pub mod dirs;
pub mod executor;
pub mod job;
pub mod lease;
pub mod listener;
pub mod run;
pub mod shared;
pub mod socket;
pub mod status;
pub mod supervisor;
pub mod worker;
