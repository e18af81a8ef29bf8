//! Links from an answer to the next request.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The operation `to`, in the same repo, with these parameters taken from the
/// answer.
pub(crate) fn in_repo(to: &str, parameters: &[(&str, &str)]) -> Value {
    let repo = [("path.owner", "$request.path.owner"), ("path.repo", "$request.path.repo")];
    self::to(to, &[&repo, parameters].concat())
}

/// The operation `to`, with these parameters taken from the answer.
pub(crate) fn to(to: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: BTreeMap<_, _> = parameters.iter().copied().collect();
    json!({ "operationId": to, "parameters": parameters })
}
