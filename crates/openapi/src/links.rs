//! Links from an answer to the next request.

use serde_json::{Map, Value, json};

/// The operation `to`, in the same repo, with these parameters taken from the
/// answer.
pub(crate) fn in_repo(to: &str, parameters: &[(&str, &str)]) -> Value {
    let repo = [("path.owner", "$request.path.owner"), ("path.repo", "$request.path.repo")];
    link(to, repo.iter().chain(parameters))
}

/// The operation `to`, with these parameters taken from the answer.
pub(crate) fn to(to: &str, parameters: &[(&str, &str)]) -> Value {
    link(to, parameters.iter())
}

fn link<'a>(to: &str, parameters: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Value {
    let parameters: Map<String, Value> =
        parameters.map(|(name, expression)| ((*name).to_owned(), (*expression).into())).collect();
    json!({ "operationId": to, "parameters": parameters })
}
