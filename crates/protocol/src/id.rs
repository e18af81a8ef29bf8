//! Ids: a prefix for the kind, and a UUID version 7 (RFC 9562).
//!
//! A message id is `msg_<uuid as 32 hex digits>_<agent name>`: it names its
//! mailbox. The UUID's 74 free bits are a counter of 42 bits, the message's
//! place in the mailbox, then 32 random bits (RFC 9562, 6.2, *fixed-length
//! dedicated counter*). So the ids of a mailbox order as they were made,
//! within a millisecond too, and a message is found by its place without an
//! index over ids.

use crate::name::AgentName;
use crate::text_form::text_form;
use crate::time::Timestamp;
use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::fmt;
use uuid::{Uuid, Variant};

/// The largest place a mailbox can hand out.
pub const MAX_SEQ: u64 = (1 << 42) - 1;

/// 32 lower-case hex digits that are a UUID of version 7.
fn parse_uuid(hex: &str) -> Option<u128> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed = hex.len() == 32 && hex.bytes().all(digit);
    let uuid = Uuid::from_u128(well_formed.then(|| u128::from_str_radix(hex, 16).ok())??);
    let version_7 = uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122;
    version_7.then_some(uuid.as_u128())
}

/// A message's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct MessageId {
    uuid: u128,
    agent: AgentName,
}

impl MessageId {
    /// The id of the message at `seq` in `agent`'s mailbox, made at `time`.
    pub fn new(time: Timestamp, seq: u64, random: u32, agent: AgentName) -> Self {
        let millis = u128::from(time.0.max(0) as u64 & 0xffff_ffff_ffff);
        let seq = u128::from(seq & MAX_SEQ);
        let uuid = (millis << 80)
            | (0x7 << 76)
            | ((seq >> 30) << 64)
            | (0b10 << 62)
            | ((seq & 0x3fff_ffff) << 32)
            | u128::from(random);
        Self { uuid, agent }
    }

    /// Reads an id; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (hex, agent) = text.strip_prefix("msg_")?.split_once('_')?;
        let agent = AgentName::parse(agent).ok()?;
        Some(Self { uuid: parse_uuid(hex)?, agent })
    }

    /// The mailbox that holds the message.
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The message's place in its mailbox.
    pub fn seq(&self) -> u64 {
        let high = (self.uuid >> 64) & 0xfff;
        let low = (self.uuid >> 32) & 0x3fff_ffff;
        ((high << 30) | low) as u64
    }

    /// When the message was stored.
    pub fn time(&self) -> Timestamp {
        Timestamp((self.uuid >> 80) as i64)
    }

    /// The UUID as 32 hex digits.
    pub fn uuid_hex(&self) -> String {
        format!("{:032x}", self.uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{:032x}_{}", self.uuid, self.agent)
    }
}

text_form! {
    MessageId: |text| Self::parse(text)
        .ok_or("is not a message id, msg_<32 hex digits>_<agent>".to_owned());
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(SerializeDisplay, DeserializeFromStr)]
        pub struct $name(String);

        impl $name {
            /// A new id from the time and 10 random bytes.
            pub fn new(time: Timestamp, random: [u8; 10]) -> Self {
                let uuid = uuid::Builder::from_unix_timestamp_millis(time.0.max(0) as u64, &random);
                Self(format!(concat!($prefix, "{}"), uuid.into_uuid().simple()))
            }

            /// Reads an id; `None` if the text is not one.
            pub fn parse(text: &str) -> Option<Self> {
                let hex = text.strip_prefix($prefix)?;
                parse_uuid(hex).map(|_| Self(text.to_owned()))
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_form! {
            $name: |text| Self::parse(text)
                .ok_or(concat!("must be ", $what, $prefix, "<32 hex digits>").to_owned());
        }
    };
}

uuid_id!(
    /// One incarnation of an agent: the time from its registration to its end.
    AgentId,
    "",
    "agt_"
);
uuid_id!(
    /// A request for a worker.
    SpawnId,
    "the id of a request, ",
    "spn_"
);
uuid_id!(
    /// An entry of the audit log.
    AuditId,
    "",
    "aud_"
);
uuid_id!(
    /// A token, as it may be named in lists and logs. Not its secret.
    TokenId,
    "",
    "tok_"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    #[test]
    fn a_message_id_is_a_valid_uuid_of_version_7() {
        let id = MessageId::new(Timestamp(1_700_000_000_000), 77, 5, agent("ann"));
        let uuid = Uuid::try_parse(&id.uuid_hex()).unwrap();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn an_id_of_another_form_is_refused() {
        let id = MessageId::new(Timestamp(1), 1, 1, agent("a_b")).to_string();
        assert!(MessageId::parse(&id).is_some());
        for bad in [
            "",
            "msg_",
            "msg__a",
            &id.to_uppercase(),
            &id[..id.len() - 3],
            &format!("{id}.x"),
            "msg_00000000000000000000000000000000_a",
        ] {
            assert_eq!(MessageId::parse(bad), None, "{bad}");
        }
        assert_eq!(AgentId::parse("agt_123"), None);
        assert_eq!(AgentId::parse("tok_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"), None);
    }

    proptest! {
        #[test]
        fn a_message_id_gives_back_its_parts(
            ms in 0_i64..(1 << 47), seq in 0..=MAX_SEQ, random: u32, name in "[a-z0-9][A-Za-z0-9_-]{0,30}"
        ) {
            prop_assume!(AgentName::parse(&name).is_ok());
            let id = MessageId::new(Timestamp(ms), seq, random, agent(&name));
            let read = MessageId::parse(&id.to_string()).unwrap();
            prop_assert_eq!((read.time().0, read.seq(), read.agent().as_str()), (ms, seq, name.as_str()));
            prop_assert_eq!(read, id);
        }

        #[test]
        fn a_later_place_sorts_later_whatever_the_random_bits(
            ms in 0_i64..(1 << 47), later in 0_i64..5, seq in 0..MAX_SEQ, a: u32, b: u32
        ) {
            let first = MessageId::new(Timestamp(ms), seq, a, agent("x")).to_string();
            let second = MessageId::new(Timestamp(ms + later), seq + 1, b, agent("x")).to_string();
            prop_assert!(first < second);
        }

        #[test]
        fn reading_any_text_as_an_id_never_panics(text in "\\PC*") {
            let _ = (MessageId::parse(&text), AgentId::parse(&text));
        }
    }
}
