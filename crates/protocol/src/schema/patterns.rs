//! Regular expressions of texts.

/// An `Idempotency-Key`.
pub const IDEMPOTENCY_KEY: &str = "^[!-~]{1,255}$";
/// One character at least that is neither a blank nor hidden, as `text::is_blank` has it.
pub const SAYS_SOMETHING: &str = "[^\\s\\x00-\\x20\\x7f-\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\
     \\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]";

/// Parts of patterns, for `concat!`.
macro_rules! part {
    (uuid) => {
        "[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}"
    };
    (agent) => {
        "(?!([sS][yY][sS][tT][eE][mM]|[uU][sS][eE][rR])$)[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
    };
    (owner) => {
        "(?!system$)[a-z0-9-]{1,39}"
    };
    (repo) => {
        "(?!\\.{1,2}$)[A-Za-z0-9._-]{1,100}"
    };
    (account) => {
        "[A-Za-z0-9][A-Za-z0-9_-]{0,38}"
    };
}
pub(crate) use part;

/// A repository.
pub const REPO: &str = concat!("^", part!(account), "/", part!(repo), "$");
/// `user:<owner>`.
pub const PERSON: &str = concat!("^user:", part!(owner), "$");
