//! Waiting for events elsewhere: a worker's end, a message's arrival.

mod display;
mod follow;
pub mod message;
pub mod waiting;
pub mod worker;
