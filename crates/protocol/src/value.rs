//! Reads what these programs wrote themselves: what goes from one object to
//! another, and what is stored.
//!
//! A derived reader tells where and how a text differs from what was expected,
//! for each type anew. Nobody reads that of our own texts, and in WebAssembly it
//! would be a tenth of the coordinator. This one says no more than that it does
//! not fit. Requests are read by [`crate::fields`], which names every fault.

use crate::agent::{AgentStatus, Delivery, Location};
use crate::config::Encrypt;
use crate::fields::Metadata;
use crate::message::{FailureReason, MessageStatus};
use crate::spawn::SpawnStatus;
use crate::token::{Scope, TokenKind};
use crate::{AgentId, AgentName, Owner, Repo, SpawnId, TokenId};
use serde_json::{Map, Value};

/// Can be read from a JSON value.
pub trait FromValue: Sized {
    /// Nothing, if the value is not of its form.
    fn from_value(value: Value) -> Option<Self>;
}

/// Reads a JSON text.
pub fn read<T: FromValue>(text: &str) -> Option<T> {
    T::from_value(parse(text)?)
}

#[inline(never)]
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The members of an object.
#[inline(never)]
pub fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// A member of an object; an absent one is null. Once for each type.
#[inline(never)]
pub fn member<T: FromValue>(map: &mut Map<String, Value>, name: &str) -> Option<T> {
    T::from_value(take(map, name))
}

#[inline(never)]
fn take(map: &mut Map<String, Value>, name: &str) -> Value {
    map.remove(name).unwrap_or_default()
}

/// Reads a struct from an object that has its fields as members.
#[macro_export]
macro_rules! from_value {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::value::FromValue for $type {
            // Once, not in every place that reads one.
            #[inline(never)]
            fn from_value(value: ::serde_json::Value) -> Option<Self> {
                let mut map = $crate::value::object(value)?;
                Some(Self {
                    $($field: $crate::value::member(&mut map, stringify!($field))?,)*
                })
            }
        }
    };
}

impl FromValue for String {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Option<Self> {
                value.as_i64().and_then(|number| number.try_into().ok())
            }
        }
    )*};
}
numbers!(u16, u32, u64, i64);

macro_rules! parsed {
    ($($type:ty: $parse:expr;)*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Option<Self> {
                ($parse)(value.as_str()?)
            }
        }
    )*};
}
parsed! {
    AgentId: AgentId::parse;
    SpawnId: SpawnId::parse;
    TokenId: TokenId::parse;
    AgentName: |text| AgentName::parse(text).ok();
    Owner: |text| Owner::parse(text).ok();
    Repo: |text| Repo::parse(text).ok();
    Scope: |text| Scope::parse(text).ok();
    TokenKind: |text| TokenKind::parse(text).ok();
    AgentStatus: |text| AgentStatus::parse(text).ok();
    Location: |text| Location::parse(text).ok();
    SpawnStatus: |text| SpawnStatus::parse(text).ok();
    Encrypt: |text| Encrypt::parse(text).ok();
    MessageStatus: |text| MessageStatus::parse(text).ok();
    FailureReason: |text| FailureReason::parse(text).ok();
    Delivery: |text| Delivery::parse(text).ok();
}

impl FromValue for Metadata {
    fn from_value(value: Value) -> Option<Self> {
        // One by one: to collect a tree would bring a sort along.
        let mut metadata = Self::new();
        for (key, value) in object(value)? {
            metadata.insert(key, String::from_value(value)?);
        }
        Some(metadata)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.into_iter().map(T::from_value).collect(),
            _ => None,
        }
    }
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: FromValue),*> FromValue for ($($name,)*) {
            fn from_value(value: Value) -> Option<Self> {
                let Value::Array(items) = value else { return None };
                let mut items = items.into_iter();
                Some(($($name::from_value(items.next()?)?,)*))
            }
        }
    )*};
}
tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair {
        name: String,
        number: Option<u32>,
    }
    from_value!(Pair { name, number });

    #[test]
    fn what_fits_is_read_and_an_absent_member_is_null() {
        let pair = |number| Pair { name: "a".into(), number };
        assert_eq!(read(r#"{"name":"a","number":7}"#), Some(pair(Some(7))));
        assert_eq!(read(r#"{"name":"a"}"#), Some(pair(None)));
        assert_eq!(
            read(r#"[[1,"x"],[2,"y"]]"#),
            Some(vec![(1_u64, "x".to_owned()), (2, "y".to_owned())])
        );
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        for bad in [
            r#"{"name":1}"#,
            r#"{"name":"a","number":-1}"#,
            "[]",
            "null",
            "{",
            r#"{"name":"a","number":4294967296}"#,
        ] {
            assert_eq!(read::<Pair>(bad), None, "{bad}");
        }
        assert_eq!(read::<(u32, u32)>("[1]"), None);
    }
}
