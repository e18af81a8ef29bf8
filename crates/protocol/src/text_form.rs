//! Types that are texts on the wire.

/// Implements `FromStr` by this function; the error follows the name of the field: "must be …".
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
