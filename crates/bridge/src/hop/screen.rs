//! Finds the input box on an agent's screen, and its text. Pure.
//!
//! The box is the text between the last two rules (`────`), and its first character is
//! the prompt `❯`, or `!` in shell mode. Dim characters in it are suggestions or hints.

/// The state of the input box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Screen {
    /// No input box: a dialog, a menu, another program.
    NoBox,
    /// The box takes a shell command.
    Shell,
    /// The box has this text.
    Box(String),
}

/// The fewest characters of a rule.
const RULE_MIN: usize = 4;

impl Screen {
    /// Reads the output of `tmux capture-pane -e -p`.
    pub(super) fn read(capture: &str) -> Self {
        let lines: Vec<Line> = capture.lines().map(Line::read).collect();
        let mut rules = lines.iter().enumerate().rev().filter(|(_, line)| line.is_rule());
        let (Some((below, _)), Some((above, _))) = (rules.next(), rules.next()) else {
            return Self::NoBox;
        };
        let Some((first, rest)) =
            lines.get(above + 1..below).and_then(|inside| inside.split_first())
        else {
            return Self::NoBox;
        };
        let mut characters = first.all.chars();
        match characters.next() {
            Some('!') => return Self::Shell,
            Some('❯') => {}
            _ => return Self::NoBox,
        }
        // Not a prompt, but an entry of a menu: `❯ 1. Yes`.
        let entry = characters.as_str().trim_start();
        let digits = entry.trim_start_matches(|character: char| character.is_ascii_digit());
        if digits.len() < entry.len() && digits.starts_with('.') {
            return Self::NoBox;
        }
        let first = first.bright.trim_start_matches('❯').trim();
        let lines = std::iter::once(first).chain(rest.iter().map(|line| line.bright.trim()));
        Self::Box(lines.collect::<Vec<_>>().join("\n").trim().to_owned())
    }
}

/// A line without escape sequences.
struct Line {
    all: String,
    /// The text without its dim parts.
    bright: String,
}

impl Line {
    fn read(raw: &str) -> Self {
        let (mut cells, mut style) = (Vec::new(), Style::default());
        let mut rest = raw.chars();
        while let Some(character) = rest.next() {
            if character != '\u{1b}' {
                cells.push((character, style));
                continue;
            }
            // ESC [ 0 ; 2 m
            if rest.as_str().starts_with('[') {
                rest.next();
                let codes: String =
                    rest.by_ref().take_while(|next| !next.is_alphabetic()).collect();
                style = style.after(&codes);
            }
        }
        let is_dim = |number: usize| cells.get(number).is_some_and(|(_, style)| style.dim);
        // The cursor may be on the first character of a suggestion.
        let is_bright = |(number, (_, style)): &(usize, &(char, Style))| {
            !(style.dim || (style.reversed && is_dim(number + 1)))
        };
        let bright =
            cells.iter().enumerate().filter(is_bright).map(|(_, (character, _))| character);
        Self {
            bright: bright.collect(),
            all: cells.iter().map(|(character, _)| character).collect(),
        }
    }

    fn is_rule(&self) -> bool {
        let text = self.all.trim_end();
        text.chars().take_while(|character| *character == '─').count() >= RULE_MIN
    }
}

/// How a character looks.
#[derive(Debug, Clone, Copy, Default)]
struct Style {
    dim: bool,
    reversed: bool,
}

impl Style {
    /// The style after these codes of an SGR sequence.
    fn after(mut self, codes: &str) -> Self {
        let mut codes = codes.split([';', ':']);
        while let Some(code) = codes.next() {
            match code {
                "" | "0" => self = Self::default(),
                "2" => self.dim = true,
                "22" => self.dim = false,
                "7" => self.reversed = true,
                "27" => self.reversed = false,
                // A colour: 38;5;N or 38;2;R;G;B.
                "38" | "48" | "58" => {
                    let count = if codes.next() == Some("2") { 3 } else { 1 };
                    codes.by_ref().take(count).for_each(drop);
                }
                _ => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(inside: &str) -> String {
        let rule = "─".repeat(40);
        format!("● earlier output\n{rule}\n{inside}\n{rule}\n  ? for shortcuts\n")
    }

    fn read(inside: &str) -> Screen {
        Screen::read(&around(inside))
    }

    #[test]
    fn a_text_in_the_box_is_distinguished_from_suggestions() {
        let text = |text: &str| Screen::Box(text.to_owned());
        for (inside, screen) in [
            ("❯ ", text("")),
            ("❯\u{a0}", text("")),
            ("❯ \u{1b}[2mTry \"fix the tests\"\u{1b}[0m", text("")),
            ("❯ \u{1b}[0;2mPress up to edit queued messages\u{1b}[0m", text("")),
            ("❯ \u{1b}[38;5;2mgreen\u{1b}[39m", text("green")),
            ("❯ \u{1b}[38;2;2;2;2mrgb\u{1b}[0m", text("rgb")),
            ("\u{1b}[2m❯ \u{1b}[22mhalf a text", text("half a text")),
            // The cursor alone, after a text, and on a suggestion.
            ("❯ \u{1b}[7m \u{1b}[0m", text("")),
            ("❯ half\u{1b}[7m \u{1b}[0m", text("half")),
            ("❯ \u{1b}[7mT\u{1b}[0;2m\u{1b}[39mry \"this\"\u{1b}[0m", text("")),
            ("❯ \u{1b}[7mT\u{1b}[0mry this", text("Try this")),
            ("❯ first\n  second", text("first\nsecond")),
            ("❯ [Pasted text #1 +30 lines]", text("[Pasted text #1 +30 lines]")),
            ("! ls", Screen::Shell),
            ("Do you want to proceed?\n❯ 1. Yes\n  2. No", Screen::NoBox),
            ("❯ 1. Yes\n  2. No", Screen::NoBox),
            ("", Screen::NoBox),
        ] {
            assert_eq!(read(inside), screen, "{inside}");
        }
    }

    #[test]
    fn a_screen_without_two_rules_has_no_box() {
        for capture in ["", "$ ls\n", "────────\n❯ x\n", "── a\n❯ x\n────────\n"]
        {
            assert_eq!(Screen::read(capture), Screen::NoBox, "{capture}");
        }
    }
}
