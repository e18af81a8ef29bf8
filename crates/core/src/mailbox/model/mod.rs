//! The mailbox against a simple model of its storage, with crashes between
//! any two writes and alarms that run twice.

mod cases;
mod moments;
mod notices;
mod properties;
mod steps;
mod store;
mod streams;
mod values;
mod world;
