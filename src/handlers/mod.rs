//! One file per resource. The parameters of a handler are extractors: they were validated
//! before it runs.

pub mod agents;
pub mod audit;
pub mod callbacks;
pub mod config;
pub mod endpoint;
pub mod leases;
pub mod messages;
pub mod reference;
pub mod registration;
pub mod stream;
pub mod system;
pub mod tokens;
pub mod workers;
