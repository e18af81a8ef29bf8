//! Types that are texts on the wire.

/// Reads such a type by this function; the error follows the name of the field: "must be …".
/// serde and the bodies of requests read it by that, and write it as `Display` does.
macro_rules! text_form {
    ($($type:ty: $read:expr;)*) => {$(
        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $read(text)
            }
        }
    )*};
}
pub(crate) use text_form;
