//! Bodies of requests, each described once.
//!
//! `body!` makes four things from one description: the type, the reader, which names every
//! fault and not only the first one, the writer, and the JSON Schema. A field has its documentation, its type, whether it is required (`presence`), and
//! the rule for its value (`rules`, `text`):
//!
//! ```text
//! body! {
//!     /// A message to be stored.
//!     pub struct NewMessage {
//!         /// The recipient.
//!         pub to: AgentName = required(parsed()),
//!         /// How long it may be pending, in seconds.
//!         pub ttl_seconds: Option<i64> = optional(integer(1..=TTL_MAX_SECS)),
//!     }
//! }
//! ```
//!
//! `as "name"` after a field's name is its name on the wire. `check = function` checks rules
//! about several fields; `also = function` adds them to the schema. An absent field and
//! `null` are the same; unknown fields are ignored.

mod error;
mod fields;
pub(crate) mod presence;
pub(crate) mod rules;
pub(crate) mod text;

pub use error::BodyError;
pub use fields::Fields;
pub use text::ENDPOINT_MAX;

/// A type that `body!` describes.
pub trait Body: Sized {
    /// Reads the fields. `None`: a fault was noted.
    fn from_fields(fields: &mut Fields) -> Option<Self>;

    /// Reads a JSON object.
    fn read(body: &[u8]) -> Result<Self, BodyError> {
        Fields::parse(body)?.finish(Self::from_fields)
    }

    /// Reads a JSON array of at most `max` objects.
    fn read_list(body: &[u8], max: usize) -> Result<Vec<Self>, BodyError> {
        Fields::parse_list(body, max)?.finish(|all| {
            let mut list = Vec::new();
            for at in 0..all.len() {
                list.extend(all.nested(&at.to_string(), Self::from_fields));
            }
            Some(list)
        })
    }
}

/// Describes the body of a request (see the module's documentation).
macro_rules! body {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        $(#[serde($($serde:tt)*)])?
        $svis:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $vis:vis $field:ident $(as $wire:literal)? : $type:ty = $rule:expr,)*
        }
        $(check = $check:expr;)?
        $(also = $also:expr;)?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq $($(, $derive)*)?)]
        $(#[serde($($serde)*)])?
        $svis struct $name { $($(#[doc = $doc])* $vis $field: $type,)* }

        impl $crate::body::Body for $name {
            fn from_fields(fields: &mut $crate::body::Fields) -> Option<Self> {
                use $crate::body::prelude::*;
                $(let $field = of::<$type, _>($rule).take(fields, $crate::body::wire_name!($field $($wire)?));)*
                let body = Self { $($field: $field?),* };
                $(let check: fn(Self, &mut $crate::body::Fields) -> Option<Self> = $check;
                let body = check(body, fields)?;)?
                Some(body)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                use $crate::body::prelude::*;
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = of::<$type, _>($rule).written(&self.$field) {
                    map.serialize_entry($crate::body::wire_name!($field $($wire)?), &value)?;
                })*
                map.end()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::body::prelude::*;
                #[allow(unused_mut, reason = "some bodies have no more to say")]
                let mut object = $crate::schema::Object::new(concat!($($about),*));
                $(let rule = of::<$type, _>($rule);
                object.property(
                    $crate::body::wire_name!($field $($wire)?),
                    concat!($($doc),*),
                    is_required(&rule),
                    rule.schema(generator),
                );)*
                $(object.also($also());)?
                object.into()
            }
        }
    };
}

/// The name on the wire.
macro_rules! wire_name {
    ($field:ident) => {
        stringify!($field).trim_start_matches("r#")
    };
    ($field:ident $wire:literal) => {
        $wire
    };
}

pub(crate) use {body, wire_name};

/// The names that descriptions of fields use.
pub(crate) mod prelude {
    pub(crate) use super::{presence::*, rules::*, text::*};
}

/// Reads a body; the error names the fields at fault.
#[cfg(test)]
pub(crate) fn read<T: Body>(body: &serde_json::Value) -> Result<T, Vec<String>> {
    T::read(body.to_string().as_bytes()).map_err(|error| match error {
        BodyError::Fields(faults) => faults.into_iter().map(|fault| fault.field).collect(),
        other => panic!("{other}"),
    })
}

#[cfg(test)]
mod tests;
