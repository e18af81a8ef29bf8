//! Flexible key-value pairs of an agent, a message or a request.

use std::collections::BTreeMap;

/// The pairs, by key.
pub type Metadata = BTreeMap<String, String>;

/// Entries that [`Metadata`] may have.
pub const METADATA_MAX_ENTRIES: usize = 32;
/// Bytes that its keys and values may have together.
pub const METADATA_MAX_BYTES: usize = 4096;
