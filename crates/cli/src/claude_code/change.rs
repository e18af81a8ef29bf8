//! A change of the file: shown as a diff, then written.

use crate::failure::{Failure, Outcome, io};
use crate::files::{read, replace};
use std::path::PathBuf;

/// Bytes of an unchanged part of a line that a diff shows at most.
const NEAR: usize = 80;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: PathBuf,
    pub(super) before: Option<Vec<u8>>,
    pub(super) after: String,
}

impl Change {
    /// The text that comes in and goes out, in lines. Of a long line it is a part: the
    /// rest of the file is none of our business, and may be secret.
    pub fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        let (before, after) = (String::from_utf8_lossy(before), self.after.as_str());
        let same = before.chars().zip(after.chars()).take_while(|(one, other)| one == other);
        let start: usize = same.map(|(one, _)| one.len_utf8()).sum();
        let (gone, come) = (&before[start..], &after[start..]);
        let same =
            gone.chars().rev().zip(come.chars().rev()).take_while(|(one, other)| one == other);
        let end: usize = same.map(|(one, _)| one.len_utf8()).sum();
        let (gone, come) = (&gone[..gone.len() - end], &come[..come.len() - end]);
        // A replacement begins and ends within lines.
        let replaced = !gone.trim().is_empty() && !come.trim().is_empty();
        let (head, tail) = (&before[..start], &before[before.len() - end..]);
        let head = head.rsplit('\n').next().filter(|part| replaced && part.len() <= NEAR);
        let tail = tail.split('\n').next().filter(|part| replaced && part.len() <= NEAR);
        let lines = |sign: char, text: &str| -> Vec<String> {
            let text = [head.unwrap_or_default(), text, tail.unwrap_or_default()].concat();
            let lines = text.lines().filter(|line| !matches!(line.trim(), "" | ","));
            lines.map(|line| format!("{sign} {line}")).collect()
        };
        let mut shown = lines('-', gone);
        shown.extend(lines('+', come));
        shown.join("\n")
    }

    /// Writes it, unless the file has changed meanwhile.
    pub fn apply(&self) -> Outcome {
        if read(&self.path)? != self.before {
            return Err(Failure::new(format!(
                "{} has changed meanwhile; nothing was written",
                self.path.display()
            ))
            .hint("run the command again"));
        }
        replace(&self.path, self.after.as_bytes(), 0o600).map_err(io("write", &self.path))
    }
}
