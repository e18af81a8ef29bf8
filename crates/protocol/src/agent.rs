//! Wire types of the agent registry.

use crate::error::FieldError;
use crate::fields::{Fields, Metadata};
use crate::webhook::{Secret, revealed};
use crate::{AgentId, AgentName, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};

/// Characters that an agent's type and a machine's instance may have.
const LABEL_MAX: usize = 64;
/// Bytes that an endpoint may have.
pub const ENDPOINT_MAX: usize = 2048;

macro_rules! wire_enum {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $vdoc])* #[serde(rename = $text)] $variant),* }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let description = concat!($($doc,)* "\n" $(, "\n- `", $text, "`:", $($vdoc),*)*).trim();
                schemars::json_schema!({
                    "description": description, "type": "string", "enum": [$($text),*],
                })
            }
        }

        impl $name {
            /// The texts on the wire of all values.
            pub const TEXTS: &[&str] = &[$($text),*];

            /// The value's text on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the wire text, or says which texts there are.
            pub fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("must be one of {}", Self::TEXTS.join(", "))),
                }
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum!(
    /// Where an agent runs, seen from its owner.
    Location {
        /// On a developer's machine.
        Local = "local",
        /// On shared infrastructure.
        Remote = "remote",
    }
);

wire_enum!(
    /// What an agent is doing.
    AgentStatus {
        /// At work.
        Active = "active",
        /// Waiting for something to do.
        Idle = "idle",
        /// Not running, or unseen for 180 s. It still gets mail.
        Stopped = "stopped",
    }
);

wire_enum!(
    /// How messages reach an agent at the moment.
    Delivery {
        /// Pushed to its endpoint.
        Webhook = "webhook",
        /// Sent over its open stream.
        Stream = "stream",
        /// It has to ask.
        Polling = "polling",
    }
);

/// One agent, as the registry knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Agent {
    /// This incarnation; a later agent of the same name has another id.
    pub id: AgentId,
    /// Unique in its repo.
    pub name: AgentName,
    /// `worker`, `merge-queue`, `supervisor`, …
    pub r#type: String,
    /// Where it runs.
    pub location: Location,
    /// The principal that registered it.
    pub owner: Owner,
    /// `owner/repo`, in lower case.
    pub repo: Repo,
    /// `stopped` also when it was not seen for 180 s.
    pub status: AgentStatus,
    /// Where messages are pushed to; empty for polling.
    #[serde(default)]
    pub endpoint: String,
    /// How messages reach it now.
    pub delivery: Delivery,
    /// Why it is that way, where that is not as asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_reason: Option<String>,
    /// The machine it was registered from, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The last sign of life, to the minute.
    pub last_seen: Timestamp,
    /// When this incarnation was registered.
    pub created_at: Timestamp,
    /// Flexible key-value pairs.
    #[serde(default)]
    pub metadata: Metadata,
    /// Messages waiting in its mailbox (`GET …/agents/{name}` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// The endpoint's secret, once, in the answer that generated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
}

/// What a change of an agent's endpoint asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EndpointChange {
    /// Leave it.
    #[default]
    Keep,
    /// Turn push off.
    Clear,
    /// Push to this URL (not yet checked against the endpoint rules).
    Set(String),
}

impl EndpointChange {
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

impl Serialize for EndpointChange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_none(),
            Self::Clear => serializer.serialize_str(""),
            Self::Set(url) => serializer.serialize_str(url),
        }
    }
}

/// `POST …/agents`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Registration {
    /// The name to take.
    pub name: AgentName,
    /// `worker`, `merge-queue`, …
    pub r#type: String,
    /// Absent: `remote` for a service token, `local` for a user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Absent: `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AgentStatus>,
    /// Where to push messages.
    #[serde(skip_serializing_if = "EndpointChange::is_keep")]
    pub endpoint: EndpointChange,
    /// The endpoint's secret; generated if absent.
    #[serde(serialize_with = "revealed", skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Secret>,
    /// The machine that registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Replaces the fields; absent keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Replace a holder that is stopped or unseen for 180 s.
    pub take_over: bool,
}

/// `PATCH …/agents/{name}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AgentUpdate {
    /// The new status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AgentStatus>,
    /// The new type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The new location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The new endpoint.
    #[serde(skip_serializing_if = "EndpointChange::is_keep")]
    pub endpoint: EndpointChange,
    /// The endpoint's new secret.
    #[serde(serialize_with = "revealed", skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Secret>,
    /// Replaces all metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A type or instance: 1–64 of `[A-Za-z0-9_.-]`.
fn label(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !text.is_empty() && text.len() <= LABEL_MAX && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {LABEL_MAX} of A-Z, a-z, 0-9, _, - and ."))
    }
}

/// An empty text stands for absent: clients in Go send every field.
pub(crate) fn unless_empty<T, E>(
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(&str) -> Result<Option<T>, E> {
    move |text| {
        if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
    }
}

fn endpoint(fields: &mut Fields) -> EndpointChange {
    match fields.text("endpoint") {
        None => EndpointChange::Keep,
        Some(url) if url.is_empty() => EndpointChange::Clear,
        Some(url) => {
            if url.len() > ENDPOINT_MAX {
                fields.fault("endpoint", format_args!("is longer than {ENDPOINT_MAX} bytes"));
            }
            EndpointChange::Set(url)
        }
    }
}

impl Registration {
    /// A registration of `name` as a `type`, with defaults for everything else.
    pub fn new(name: AgentName, r#type: &str) -> Self {
        Self {
            name,
            r#type: r#type.to_owned(),
            location: None,
            status: None,
            endpoint: EndpointChange::Keep,
            webhook_secret: None,
            instance: None,
            metadata: None,
            take_over: false,
        }
    }

    /// Reads the body of `POST …/agents`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let name = fields.required("name", |text| {
            AgentName::parse(text).map_err(|error| format!("the agent name {error}"))
        });
        let r#type = fields.required("type", label);
        let registration = Self {
            location: fields.parsed("location", unless_empty(Location::parse)).flatten(),
            status: fields.parsed("status", unless_empty(AgentStatus::parse)).flatten(),
            endpoint: endpoint(&mut fields),
            webhook_secret: fields.parsed("webhook_secret", unless_empty(Secret::parse)).flatten(),
            instance: fields.parsed("instance", unless_empty(label)).flatten(),
            metadata: fields.metadata("metadata"),
            take_over: fields.boolean("take_over").unwrap_or(false),
            name: match name {
                Some(name) => name,
                None => return fields.finish(None),
            },
            r#type: match r#type {
                Some(label) => label,
                None => return fields.finish(None),
            },
        };
        fields.finish(Some(registration))
    }
}

impl AgentUpdate {
    /// Reads the body of `PATCH …/agents/{name}`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let update = Self {
            status: fields.parsed("status", unless_empty(AgentStatus::parse)).flatten(),
            r#type: fields.parsed("type", unless_empty(label)).flatten(),
            location: fields.parsed("location", unless_empty(Location::parse)).flatten(),
            endpoint: endpoint(&mut fields),
            webhook_secret: fields.parsed("webhook_secret", unless_empty(Secret::parse)).flatten(),
            metadata: fields.metadata("metadata"),
        };
        fields.finish(Some(update))
    }
}

#[cfg(test)]
mod tests;
