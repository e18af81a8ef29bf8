//! The marked lines in a shell's file. Pure; bytes, since a file need not be text.
//!
//! The first line also says what the file was like before, so that it can be
//! given back byte for byte without anything written down elsewhere.

use std::io::{Error, ErrorKind, Result};

const BEGIN: &str = "# >>> multiclaude-hybrid shim >>>";
const END: &str = "# <<< multiclaude-hybrid shim <<<";
/// Behind [`BEGIN`]: there was no file.
const MADE: &str = " (this file was made for it)";
/// Behind [`BEGIN`]: the file's last line had no end.
const UNENDED: &str = " (the line above had no end)";

/// A file without the block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) rest: Vec<u8>,
    /// Whether the file was made for the block.
    pub(super) made_for_it: bool,
}

/// The file with the block at its end, where nothing that the file does to the
/// PATH comes after it; `None` is a file that doesn't exist. One that has the
/// block there already comes out as it is.
pub(super) fn with(before: Option<&[u8]>, lines: &str) -> Result<Vec<u8>> {
    let left = before.map(without).transpose()?.flatten();
    let made = match (&left, before) {
        (Some(left), _) => left.made_for_it && left.rest.is_empty(),
        (None, before) => before.is_none(),
    };
    let mut text = match left {
        Some(left) => left.rest,
        None => before.unwrap_or_default().to_vec(),
    };
    let unended = text.last().is_some_and(|byte| *byte != b'\n');
    let note = match (made, unended) {
        (true, _) => MADE,
        (false, true) => UNENDED,
        (false, false) => "",
    };
    let gap = if unended { "\n" } else { "" };
    text.extend(format!("{gap}{BEGIN}{note}\n{lines}{END}\n").into_bytes());
    Ok(text)
}

/// The file without the block; nothing if it has none. An error if one of the two marks is
/// missing: the end of the block is unknown then.
pub(super) fn without(text: &[u8]) -> Result<Option<Left>> {
    let mut rest = Vec::new();
    let (mut found, mut inside, mut made_for_it) = (false, false, false);
    // How long the rest was where a line's end must go as well.
    let mut unended_at = None;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let mark = line.trim_ascii_end();
        match (inside, mark.strip_prefix(BEGIN.as_bytes())) {
            (false, Some(note)) => {
                (found, inside) = (true, true);
                made_for_it |= note == MADE.as_bytes();
                unended_at = (note == UNENDED.as_bytes()).then_some(rest.len());
            }
            (true, None) => inside = mark != END.as_bytes(),
            (false, None) if mark != END.as_bytes() => rest.extend_from_slice(line),
            _ => return Err(damaged()),
        }
    }
    if inside {
        return Err(damaged());
    }
    // Lines that were added below the block need the end of the one above it.
    if unended_at == Some(rest.len()) {
        rest.pop();
    }
    Ok(found.then_some(Left { rest, made_for_it }))
}

fn damaged() -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("its lines `{BEGIN}` and `{END}` are not a pair; please correct them by hand"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "export X=1\n";

    fn rest_of(text: &[u8]) -> Vec<u8> {
        without(text).unwrap().unwrap().rest
    }

    #[test]
    fn the_file_comes_back_byte_for_byte() {
        for before in [
            &b""[..],
            b"\n",
            b"a\n",
            b"a",
            b"a\n\n\n",
            b"\xff\x00\r\nb",
            b"# >>> somebody else >>>\n",
        ] {
            let once = with(Some(before), LINES).unwrap();
            assert_eq!(with(Some(&once), LINES).unwrap(), once);
            assert_eq!(rest_of(&once), before);
            assert!(!without(&once).unwrap().unwrap().made_for_it);
        }
    }

    #[test]
    fn a_file_that_was_made_for_the_block_is_known_until_other_lines_are_added() {
        let once = with(None, LINES).unwrap();
        assert_eq!(with(Some(&once), LINES).unwrap(), once);
        let left = without(&once).unwrap().unwrap();
        assert!(left.made_for_it && left.rest.is_empty());
        let used = [&once[..], b"mine\n"].concat();
        assert_eq!(rest_of(&used), b"mine\n");
        let again = with(Some(&used), LINES).unwrap();
        assert!(!without(&again).unwrap().unwrap().made_for_it);
    }

    #[test]
    fn lines_that_were_added_below_keep_their_own_line() {
        let used = [&with(Some(b"a"), LINES).unwrap()[..], b"b\n"].concat();
        assert_eq!(rest_of(&used), b"a\nb\n");
    }

    #[test]
    fn a_block_moves_to_the_end_and_is_brought_up_to_date() {
        let old = [&with(Some(b"a\n"), "old\n").unwrap()[..], b"b\n"].concat();
        assert_eq!(with(Some(&old), LINES).unwrap(), with(Some(b"a\nb\n"), LINES).unwrap());
    }

    #[test]
    fn half_a_block_is_an_error_and_no_block_is_none() {
        let whole = String::from_utf8(with(Some(b"a\n"), LINES).unwrap()).unwrap();
        for mark in [BEGIN, END] {
            let half = whole.replace(&format!("{mark}\n"), "");
            assert!(without(half.as_bytes()).is_err());
            assert!(with(Some(half.as_bytes()), LINES).is_err());
        }
        assert_eq!(without(b"a\n").unwrap(), None);
    }
}
