//! Reads a line of arguments the way multiclaude does.
//!
//! Its notation: `--flag=value`, `--flag value` where the next argument does
//! not begin with `-`, else `--flag` alone; one dash does as well as two;
//! everything else is a word. It has no `--` that ends the flags.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Word(&'a OsStr),
    Flag {
        /// Without its dashes.
        name: Cow<'a, str>,
        value: Option<&'a OsStr>,
    },
}

/// The pieces of `args`, in order. `takes_next` says whether a flag of that
/// name, given without `=`, has the argument after it as its value; it is only
/// asked where multiclaude itself would take it.
pub(super) fn parse(args: &[OsString], takes_next: impl Fn(&str, &OsStr) -> bool) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = args.iter().map(OsString::as_os_str).peekable();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        let Some(flag) = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")) else {
            items.push(Item::Word(arg));
            continue;
        };
        let mut halves = flag.splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8_lossy(halves.next().unwrap_or_default());
        let value = halves.next().map(OsStr::from_bytes).or_else(|| {
            rest.next_if(|next| !next.as_bytes().starts_with(b"-") && takes_next(&name, next))
        });
        items.push(Item::Flag { name, value });
    }
    items
}

/// Its words, where every flag takes what it can, as multiclaude has it.
pub(super) fn words(args: &[OsString]) -> Vec<&OsStr> {
    parse(args, |_, _| true)
        .into_iter()
        .filter_map(|item| match item {
            Item::Word(word) => Some(word),
            Item::Flag { .. } => None,
        })
        .collect()
}

/// `--name=value`, or `--name` where there is no value.
pub(super) fn spelled(name: &str, value: Option<&OsStr>) -> OsString {
    let mut out = OsString::from("--");
    out.push(name);
    if let Some(value) = value {
        out.push("=");
        out.push(value);
    }
    out
}

/// Whether multiclaude answers a command with its help where this comes first.
pub(super) fn is_help(arg: &OsStr) -> bool {
    arg == "--help" || arg == "-h"
}

#[cfg(test)]
mod tests {
    use super::super::tests::args;
    use super::*;

    fn flag<'a>(name: &'a str, value: Option<&'a str>) -> Item<'a> {
        Item::Flag { name: name.into(), value: value.map(OsStr::new) }
    }

    #[test]
    fn a_value_stands_after_an_equals_sign_or_in_the_next_argument() {
        let args = args(&["--a=b=c", "--d", "e", "f", "-g", "h", "--i", "--j", "--k="]);
        assert_eq!(
            parse(&args, |_, _| true),
            [
                flag("a", Some("b=c")),
                flag("d", Some("e")),
                Item::Word(OsStr::new("f")),
                flag("g", Some("h")),
                flag("i", None),
                flag("j", None),
                flag("k", Some("")),
            ]
        );
    }

    #[test]
    fn a_flag_that_takes_no_value_leaves_the_next_argument_a_word() {
        let args = args(&["--a", "b"]);
        assert_eq!(parse(&args, |_, _| false), [flag("a", None), Item::Word(OsStr::new("b"))]);
    }
}
