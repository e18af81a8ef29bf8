//! The builder of one operation.

use crate::schemas::Schemas;
use crate::{parameters, problems};
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::error::Problem;
use serde_json::{Map, Value, json};

/// The callers of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// The holder of a token.
    Bearer,
    /// The holder of the repo's secret, who signs.
    Signature,
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: String,
    tag: &'static str,
    access: Access,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
    codes: Vec<ErrorCode>,
}

macro_rules! methods {
    ($($name:ident),*) => {$(
        /// An operation that needs a token.
        pub(crate) fn $name(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
            Operation::new(stringify!($name), path, id, summary, Access::Bearer)
        }
    )*};
}
methods!(get, post, put, patch, delete);

impl Operation {
    /// `get`, `/v1/whoami`, its id, its summary, its callers.
    pub(crate) fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        access: Access,
    ) -> Self {
        let mut operation = Self {
            method,
            path,
            id,
            summary,
            description: String::new(),
            tag: "",
            access,
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
            codes: problems::ANYWHERE.to_vec(),
        };
        if path.contains("/{owner}/{repo}") {
            operation.parameters = ["Owner", "Repo"].map(parameters::named).to_vec();
            operation.codes.push(ErrorCode::InvalidName);
        }
        match access {
            Access::Open => {}
            Access::Bearer => {
                operation.codes.push(ErrorCode::Unauthenticated);
                if !operation.parameters.is_empty() {
                    operation.codes.push(ErrorCode::Forbidden);
                }
            }
            Access::Signature => operation.codes.push(ErrorCode::InvalidSignature),
        }
        operation
    }

    /// Its tag.
    pub(crate) fn tag(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    /// The description.
    pub(crate) fn about(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// A parameter of the path.
    pub(crate) fn path_parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self.fails(&[ErrorCode::InvalidName])
    }

    /// A parameter of the query, or a header, that is checked.
    pub(crate) fn parameter(self, parameter: Value) -> Self {
        self.unchecked(parameter).fails(&[ErrorCode::InvalidParameter])
    }

    /// A parameter that accepts every value.
    pub(crate) fn unchecked(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The header `Agent-Id`.
    pub(crate) fn agent_id(self) -> Self {
        self.parameter(parameters::named("AgentId")).fails(&[ErrorCode::AgentSuperseded])
    }

    /// The body, JSON, with examples by name.
    pub(crate) fn body(
        mut self,
        schema: Value,
        required: bool,
        examples: &[(&str, Value)],
    ) -> Self {
        let examples: Map<_, _> = examples
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!({ "value": value })))
            .collect();
        self.body = Some(json!({
            "required": required,
            "content": { "application/json": { "schema": schema, "examples": examples } },
        }));
        self.fails(&[ErrorCode::InvalidJson, ErrorCode::BodyTooLarge, ErrorCode::ValidationFailed])
    }

    /// A 2xx answer in JSON.
    pub(crate) fn answers(
        self,
        status: u16,
        description: &str,
        schema: Value,
        example: Value,
    ) -> Self {
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.response(status, description, Some(content))
    }

    /// A 2xx answer without a body.
    pub(crate) fn nothing(self, status: u16, description: &str) -> Self {
        self.response(status, description, None)
    }

    /// An answer with this content.
    pub(crate) fn response(
        mut self,
        status: u16,
        description: &str,
        content: Option<Value>,
    ) -> Self {
        let mut response = json!({
            "description": description,
            "headers": { "X-Request-Id": problems::header("RequestId") },
        });
        if let (Some(map), Some(content)) = (response.as_object_mut(), content) {
            map.insert("content".to_owned(), content);
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// A header of all 2xx answers so far.
    pub(crate) fn header(self, name: &str, component: &str) -> Self {
        self.member("headers", name, problems::header(component))
    }

    /// A link from all 2xx answers so far.
    pub(crate) fn link(self, name: &str, link: Value) -> Self {
        self.member("links", name, link)
    }

    fn member(mut self, of: &str, name: &str, value: Value) -> Self {
        for response in self.responses.values_mut().filter_map(Value::as_object_mut) {
            let members = response.entry(of).or_insert_with(|| json!({})).as_object_mut();
            if let Some(members) = members {
                members.insert(name.to_owned(), value.clone());
            }
        }
        self
    }

    /// A page of a list of `item`, with `limit`, `after` and the header `Link`.
    pub(crate) fn lists(
        self,
        description: &str,
        item: Value,
        example: Value,
        after: Value,
    ) -> Self {
        let items = json!({ "type": "array", "items": item });
        self.answers(200, description, items, json!([example]))
            .parameter(parameters::named("Limit"))
            .parameter(after)
            .header("Link", "Link")
    }

    /// The codes it can fail with, in addition to those that follow from the rest.
    pub(crate) fn fails(mut self, codes: &[ErrorCode]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// The operation object.
    pub(crate) fn into_value(self, schemas: &mut Schemas) -> Value {
        let problem = schemas.of::<Problem>();
        let mut responses = self.responses;
        for (status, failure) in problems::responses(&self.codes, &problem) {
            match responses.get_mut(&status.to_string()) {
                // The status of a 2xx answer, with the content of a failure, too.
                Some(response) => merge_content(response, failure),
                None => {
                    responses.insert(status.to_string(), failure);
                }
            }
        }
        let mut operation = json!({
            "operationId": self.id, "summary": self.summary, "tags": [self.tag], "responses": responses,
        });
        let more = [
            (!self.description.is_empty()).then(|| ("description", self.description.into())),
            (!self.parameters.is_empty()).then(|| ("parameters", self.parameters.into())),
            self.body.map(|body| ("requestBody", body)),
            match self.access {
                Access::Bearer => None,
                Access::Open => Some(("security", json!([]))),
                Access::Signature => Some((
                    "security",
                    json!([{ "webhookId": [], "webhookTimestamp": [], "webhookSignature": [] }]),
                )),
            },
        ];
        if let Some(map) = operation.as_object_mut() {
            map.extend(more.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
        }
        operation
    }
}

fn merge_content(response: &mut Value, failure: Value) {
    let Value::Object(mut failure) = failure else {
        return;
    };
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    if let (Some(content), Some(Value::Object(more))) = (content, failure.remove("content")) {
        content.extend(more);
    }
}
