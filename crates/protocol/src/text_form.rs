//! Types that are texts on the wire.

/// Reads such a type by this function, and writes it as `Display` does. The error follows the
/// name of what was read.
macro_rules! text_form {
    ($($type:ty, $error:ty: $read:expr;)*) => {$(
        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                $read(&text)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
pub(crate) use text_form;
