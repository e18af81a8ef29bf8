//! Texts with a form, as fields have them.

use super::rules::FromText;
use crate::message::Sender;
use crate::spawn::SpawnedBy;
use crate::token::Scope;
use crate::{AgentId, AgentName, MessageId, Owner, SpawnId, Timestamp};

macro_rules! from_text {
    ($($type:ty: $read:expr;)*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                ($read)(text)
            }
        }
    )*};
}

from_text! {
    AgentName: |text| AgentName::parse(text).map_err(|error| format!("the agent name {error}"));
    Owner: |text| Owner::parse(text).map_err(|error| format!("the owner {error}"));
    Scope: |text| Scope::parse(text).map_err(|error| error.to_string());
    Sender: Sender::parse;
    SpawnedBy: SpawnedBy::parse;
    AgentId: |text| AgentId::parse(text).ok_or("must be agt_<32 hex digits>".to_owned());
    SpawnId: |text| SpawnId::parse(text)
        .ok_or("must be the id of a request, spn_<32 hex digits>".to_owned());
    MessageId: |text| MessageId::parse(text)
        .ok_or("is not a message id, msg_<32 hex digits>_<agent>".to_owned());
    Timestamp: |text| Timestamp::parse(text).ok_or("must be an RFC 3339 time".to_owned());
}
