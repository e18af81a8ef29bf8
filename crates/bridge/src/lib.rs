//! The bridge: a daemon beside an unmodified multiclaude, which carries messages
//! between its agents and the coordinator.
//!
//! | module | what is in it |
//! |---|---|
//! | [`run`] | the daemon: starts everything, follows the settings, ends within 5 s |
//! | [`repo`] | one repo: which agents are registered, received for, linked to |
//! | [`names`], [`presence`] | decisions, as pure functions |
//! | [`registry`] | the agents of this home at the coordinator |
//! | [`spool`] | outgoing: from multiclaude's files into a queue |
//! | [`outbox`] | outgoing: from the queue to the API |
//! | [`inbox`] | incoming: from the API to one file per message |
//! | [`hop`] | the last hop: into the running agent, with proof |
//! | [`socket`], [`tools`] | the socket and the tools of agents' MCP servers |
//! | [`multiclaude`] | the contract with the real program |
//! | [`connection`] | whether the coordinator answers, and since when |
//! | [`seal`] | end-to-end encryption |
//! | [`roles`] | standing down, and standing up again |
//! | [`status`] | the content of `bridge status` |
//! | [`trouble`] | conditions that are logged when they begin and end |
//! | [`setup`] | the settings, logins and keys, which the command line provides |
//! | [`hints`] | advice for each refusal of the coordinator |
//! | [`abort`], [`lock`] | tasks that end with their owner, mutexes |
//! | [`dirs`], [`clock`], [`watch`], [`unix`], [`http`] | the machine: files that survive a crash, time, changes, sockets, pushes |
//!
//! *In scope:* messages and presence. *Out of scope:* the coordinator's wire (the
//! client crate), the storage of settings and secrets (the command line).

pub mod abort;
pub mod clock;
pub mod connection;
pub mod dirs;
pub mod hints;
pub mod hop;
pub mod http;
pub mod inbox;
pub mod lock;
pub mod multiclaude;
pub mod names;
pub mod outbox;
pub mod presence;
pub mod registry;
pub mod repo;
pub mod roles;
pub mod run;
pub mod seal;
pub mod setup;
pub mod socket;
pub mod spool;
pub mod status;
pub mod tools;
pub mod trouble;
pub mod unix;
pub mod watch;
