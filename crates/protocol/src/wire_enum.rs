//! Enums that are texts on the wire.

/// Defines one: its values, their texts, and their meaning.
macro_rules! wire_enum {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $vdoc])* #[serde(rename = $text)] $variant),* }

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

        crate::text_form::text_form! {
            $name: $name::parse;
        }

        impl $name {
            /// The texts on the wire of all values.
            pub const TEXTS: &[&str] = &[$($text),*];

            /// The value's text on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the wire text; the error lists the allowed texts.
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
