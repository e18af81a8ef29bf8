//! Texts with a form: names, ids, secrets, times.

use super::patterns::{REPO, part};
use crate::message::Sender;
use crate::spawn::SpawnedBy;
use crate::token::Scope;
use crate::webhook::Secret;
use crate::{AgentId, AgentName, AuditId, MessageId, Owner, Repo, SpawnId, Timestamp, TokenId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! texts {
    ($($name:ident, $pattern:expr, $example:literal, $description:literal;)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "pattern": $pattern, "description": $description,
                    "examples": [$example],
                })
            }
        }
    )*};
}

texts! {
    AgentName, concat!("^", part!(agent), "$"), "merge-queue",
        "An agent's name, unique in its repo: 1 to 64 of A-Z, a-z, 0-9, _ and -, the first a letter or digit. `system` and `user` are reserved in any case.";
    Owner, concat!("^", part!(owner), "$"), "dan",
        "The owner of a token and of agents: 1 to 39 of a-z, 0-9 and -. `system` is reserved.";
    Repo, REPO, "acme/app",
        "A repository, owner/repo. Compared without regard to case, answered in lower case.";
    Scope, concat!("^", part!(account), "/(\\*|", part!(repo), ")$"), "acme/app",
        "A repository, owner/repo, or all of an owner's, owner/*.";
    MessageId, concat!("^msg_", part!(uuid), "_", part!(agent), "$"), "msg_0193a1b2c3d47000800000010a2b3c4d_merge-queue",
        "A message's id. It names its mailbox, and the ids of a mailbox order as the messages were stored.";
    AgentId, concat!("^agt_", part!(uuid), "$"), "agt_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "One incarnation of an agent: the time from its registration to its end.";
    SpawnId, concat!("^spn_", part!(uuid), "$"), "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "The id of a request for a worker.";
    AuditId, concat!("^aud_", part!(uuid), "$"), "aud_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "The id of an entry of the audit log; later entries have greater ones.";
    TokenId, concat!("^tok_", part!(uuid), "$"), "tok_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "The id of a token, not its secret.";
    Sender, concat!("^(system|user:", part!(owner), "|", part!(agent), ")$"), "workspace",
        "Who sends: an agent, `user:<owner>` (a person), or `system` (the coordinator).";
    SpawnedBy, concat!("^(", part!(agent), "|[A-Za-z0-9_.-]{1,64}:", part!(owner), ")$"), "workspace:dan",
        "An agent, `<type>:<owner>` or `user:<owner>`.";
    Secret, "^whsec_(([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/][AQgw]==)?|([A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "A Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.";
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date-time",
            "description": "A time, RFC 3339. Answered in UTC with milliseconds.",
            "examples": ["2026-11-22T12:00:00.000Z"],
        })
    }
}
