//! What stands in the input box.

use icu_normalizer::ComposingNormalizerBorrowed;

/// A paste of more characters, or of as many newlines, is shown as a placeholder.
const LONG: usize = 800;
const NEWLINES: usize = 3;

/// The text of the box, with the cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    text: String,
    /// Bytes before the cursor.
    cursor: usize,
    /// A leading `!` was typed: Enter runs it in a shell.
    pub(crate) shell: bool,
    /// Placeholders and what they stand for.
    pasted: Vec<(String, String)>,
    /// A character was pasted that turns the direction of text: the next Enter
    /// only removes it.
    turned: bool,
}

fn invisible(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn zero_width(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// What a paste becomes: tabs are blanks, lines end in `\n`, characters are
/// composed, and control and zero-width characters are gone.
fn cleaned(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
    let text: String = text
        .chars()
        .filter(|character| *character == '\n' || !character.is_control())
        .filter(|character| !zero_width(*character))
        .collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&text).into_owned()
}

impl Draft {
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len(), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.shell
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Inserts typed characters. A `!` at the beginning turns to shell mode.
    pub(crate) fn type_in(&mut self, text: &str) {
        let text = text.replace('\t', "");
        let rest = if self.is_empty() { text.strip_prefix('!') } else { None };
        self.shell |= rest.is_some();
        self.insert(rest.unwrap_or(&text));
    }

    /// Inserts a paste; `count` is how many pastes were shown as placeholders.
    pub(crate) fn paste(&mut self, text: &str, count: &mut usize) {
        let text = cleaned(text);
        self.turned |= text.contains(invisible);
        let newlines = text.matches('\n').count();
        if text.chars().count() <= LONG && newlines < NEWLINES {
            return self.type_in(text.trim_end());
        }
        *count += 1;
        let lines = if newlines > 0 { format!(" +{newlines} lines") } else { String::new() };
        let shown = format!("[Pasted text #{count}{lines}]");
        self.insert(&shown);
        self.pasted.push((shown, text));
    }

    fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Removes the character before the cursor, a placeholder as a whole, or the
    /// shell mode.
    pub(crate) fn erase(&mut self) {
        let before = self.text.get(..self.cursor).unwrap_or_default();
        let placeholder = self.pasted.iter().find(|(shown, _)| before.ends_with(shown.as_str()));
        let length = match placeholder {
            Some((shown, _)) => shown.len(),
            None => before.chars().next_back().map_or(0, char::len_utf8),
        };
        if length == 0 {
            self.shell = false;
        }
        self.text.replace_range(self.cursor - length..self.cursor, "");
        self.cursor -= length;
    }

    pub(crate) fn left(&mut self) {
        let before = self.text.get(..self.cursor).unwrap_or_default();
        self.cursor -= before.chars().next_back().map_or(0, char::len_utf8);
    }

    pub(crate) fn right(&mut self) {
        let after = self.text.get(self.cursor..).unwrap_or_default();
        self.cursor += after.chars().next().map_or(0, char::len_utf8);
    }

    pub(crate) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Ctrl-C: the text goes, the shell mode stays.
    pub(crate) fn clear(&mut self) {
        *self = Self { shell: self.shell, ..Self::default() };
    }

    /// A final `\` becomes a newline; whether there was one.
    pub(crate) fn continues(&mut self) -> bool {
        let continued = self.text.ends_with('\\');
        if continued {
            self.text.pop();
            self.text.push('\n');
            self.end();
        }
        continued
    }

    /// Removes characters that turn the direction; how many there were.
    pub(crate) fn straighten(&mut self) -> usize {
        if !std::mem::take(&mut self.turned) {
            return 0;
        }
        let before = self.text.chars().count();
        self.text.retain(|character| !invisible(character));
        self.end();
        before - self.text.chars().count()
    }

    /// What is submitted: placeholders become what they stand for.
    pub(crate) fn expanded(&self) -> String {
        let mut text = self.text.clone();
        for (shown, pasted) in &self.pasted {
            let framed =
                format!("\n\n<pasted_content id=\"1\">\n{pasted}\n</pasted_content id=\"1\">\n");
            text = text.replace(shown, &framed);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(text: &str) -> Draft {
        let mut draft = Draft::default();
        draft.paste(text, &mut 0);
        draft
    }

    #[test]
    fn long_pastes_become_placeholders_and_are_whole_when_submitted() {
        assert_eq!(pasted("a\nb\nc").text(), "a\nb\nc");
        assert_eq!(pasted("a\nb\nc\nd").text(), "[Pasted text #1 +3 lines]");
        assert_eq!(pasted(&"x".repeat(800)).text().len(), 800);
        let long = "x".repeat(801);
        assert_eq!(pasted(&long).text(), "[Pasted text #1]");
        assert!(pasted(&long).expanded().contains(&long));
        let mut draft = pasted(&long);
        draft.erase();
        assert!(draft.is_empty());
    }

    #[test]
    fn pastes_are_cleaned() {
        assert_eq!(pasted("a\tb\u{1}\u{200b}e\u{301}  ").text(), "a    b\u{e9}");
    }

    #[test]
    fn a_leading_exclamation_mark_is_shell_mode_and_backspace_leaves_it() {
        let mut draft = pasted("!touch x");
        assert!(draft.shell && draft.text() == "touch x");
        draft.clear();
        assert!(draft.shell && !draft.is_empty());
        draft.erase();
        assert!(draft.is_empty());
    }

    #[test]
    fn a_final_backslash_is_a_newline_and_a_turn_of_direction_is_removed_once() {
        let mut draft = Draft::of("abc\\");
        assert!(draft.continues() && draft.text() == "abc\n" && !draft.continues());
        let mut draft = pasted("ab\u{202e}cd");
        assert_eq!((draft.straighten(), draft.text()), (1, "abcd"));
        assert_eq!(draft.straighten(), 0);
    }
}
