//! Bytes of the terminal, as keys and pastes.

/// One thing that came from the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Typed characters.
    Text(String),
    /// What stood between the brackets of a paste.
    Paste(String),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    /// A letter with Ctrl, in lower case.
    Control(char),
    Other,
}

const BEGIN: &[u8] = b"\x1b[200~";
const END: &[u8] = b"\x1b[201~";

/// Keeps what is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<u8>);

impl Keys {
    /// Takes bytes and gives the keys that are complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.0.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((key, used)) = next(&self.0) {
            self.0.drain(..used);
            keys.push(key);
        }
        keys
    }

    /// Whether an Escape waits for what may follow it.
    pub(crate) fn waits(&self) -> bool {
        self.0 == b"\x1b"
    }

    /// Nothing followed the Escape: it was the key.
    pub(crate) fn give_up(&mut self) -> Option<Key> {
        self.waits().then(|| {
            self.0.clear();
            Key::Escape
        })
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The first key, and how many bytes it takes; `None` if it is not complete.
fn next(bytes: &[u8]) -> Option<(Key, usize)> {
    match bytes {
        [] => None,
        [0x1b, ..] => escape(bytes),
        [b'\r', ..] => Some((Key::Enter, 1)),
        // Ctrl-J is a newline in the box.
        [b'\n', ..] => Some((Key::Text("\n".to_owned()), 1)),
        [b'\t', ..] => Some((Key::Text("\t".to_owned()), 1)),
        [0x7f | 0x08, ..] => Some((Key::Backspace, 1)),
        [control @ 1..=26, ..] => Some((Key::Control(char::from(control + b'a' - 1)), 1)),
        [0..32, ..] => Some((Key::Other, 1)),
        _ => text(bytes),
    }
}

fn escape(bytes: &[u8]) -> Option<(Key, usize)> {
    if let Some(pasted) = bytes.strip_prefix(BEGIN) {
        let end = find(pasted, END)?;
        let text = pasted.get(..end).map(String::from_utf8_lossy)?;
        return Some((Key::Paste(text.into_owned()), BEGIN.len() + end + END.len()));
    }
    match bytes {
        [_] => None,
        [_, b'[' | b'O', rest @ ..] => {
            let last = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
            let key = match (rest.get(last), last) {
                (Some(b'A'), 0) => Key::Up,
                (Some(b'B'), 0) => Key::Down,
                (Some(b'C'), 0) => Key::Right,
                (Some(b'D'), 0) => Key::Left,
                (Some(b'H'), 0) => Key::Home,
                (Some(b'F'), 0) => Key::End,
                _ => Key::Other,
            };
            Some((key, last + 3))
        }
        // Alt-Enter is a newline in the box.
        [_, b'\r', ..] => Some((Key::Text("\n".to_owned()), 2)),
        [_, 0x1b, ..] => Some((Key::Escape, 1)),
        _ => Some((Key::Other, 2)),
    }
}

fn text(bytes: &[u8]) -> Option<(Key, usize)> {
    let end = bytes.iter().position(|byte| *byte < 32 || *byte == 0x7f).unwrap_or(bytes.len());
    let text = bytes.get(..end)?;
    match std::str::from_utf8(text) {
        Ok(text) => Some((Key::Text(text.to_owned()), end)),
        // A character's first bytes: the rest comes with the next read.
        Err(error) if error.error_len().is_none() && end == bytes.len() => {
            let valid = error.valid_up_to();
            let text = std::str::from_utf8(bytes.get(..valid)?).ok()?;
            (valid > 0).then(|| (Key::Text(text.to_owned()), valid))
        }
        Err(_) => Some((Key::Text(String::from_utf8_lossy(text).into_owned()), end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_is_one_key_even_if_it_comes_in_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"a\x1b[200~one\rt"), [Key::Text("a".to_owned())]);
        assert_eq!(keys.feed(b"wo\x1b[201"), []);
        assert_eq!(keys.feed(b"~\r"), [Key::Paste("one\rtwo".to_owned()), Key::Enter]);
    }

    #[test]
    fn escape_is_a_key_when_nothing_follows() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b"), []);
        assert_eq!(keys.give_up(), Some(Key::Escape));
        assert_eq!(keys.feed(b"\x1b[A\x03"), [Key::Up, Key::Control('c')]);
    }
}
