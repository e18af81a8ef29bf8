//! Text from elsewhere, before a person or an agent sees it.
//!
//! Hidden characters control a terminal, reverse the direction of text, or carry text that
//! no reader sees. Unicode defines them (the properties `Default_Ignorable_Code_Point` and
//! `Bidi_Control`); the data comes with the crate of the Unicode Consortium. Stored and sent
//! texts are not changed.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use std::borrow::Cow;

/// Is it an invisible character? Controls except newline and tab, marks of direction,
/// separators of lines and paragraphs, marks of annotations, and all that Unicode calls
/// ignorable: joiners and fillers of no width, soft hyphens, tags, variation selectors.
pub fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' | ' '..='~' => false,
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => true,
        _ => {
            character.is_control()
                || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
                || CodePointSetData::new::<BidiControl>().contains(character)
        }
    }
}

/// The text without hidden characters.
pub fn stripped(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) {
        Cow::Owned(text.chars().filter(|character| !is_hidden(*character)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The text for a terminal: characters that could mislead a reader become U+FFFD;
/// characters that only join or vary their neighbours, as in emoji, are left out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) {
        Cow::Owned(text.chars().filter_map(visible_char).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// [`visible`] for one character.
pub fn visible_char(character: char) -> Option<char> {
    match character {
        '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' => None,
        hidden if is_hidden(hidden) => Some(char::REPLACEMENT_CHARACTER),
        shown => Some(shown),
    }
}

/// Does it consist only of blanks, hidden characters and empty Braille patterns?
pub fn is_blank(text: &str) -> bool {
    let says_nothing = |c: char| c.is_whitespace() || is_hidden(c) || c == '\u{2800}';
    text.chars().all(says_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the data files of Unicode 16, `DerivedCoreProperties.txt` and `PropList.txt`.
    const IGNORABLE_OR_BIDI: [(u32, u32); 21] = [
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180d),
        (0x180e, 0x180e),
        (0x180f, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x2064),
        (0x2065, 0x2065),
        (0x2066, 0x206f),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0fff),
    ];

    #[test]
    fn every_character_is_hidden_exactly_if_unicode_or_the_terminal_says_so() {
        for code in 0..=0x0010_ffff_u32 {
            let Some(character) = char::from_u32(code) else { continue };
            let listed = IGNORABLE_OR_BIDI.iter().any(|(from, to)| (*from..=*to).contains(&code));
            let control = matches!(code, 0..=8 | 0xb..=0x1f | 0x7f..=0x9f);
            let other = matches!(code, 0x2028 | 0x2029 | 0xfff9..=0xfffb);
            assert_eq!(is_hidden(character), listed || control || other, "U+{code:04X}");
        }
    }

    #[test]
    fn a_terminal_shows_that_something_was_there_but_emoji_stay_together() {
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\u{e0041}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}");
        assert_eq!(
            visible("\u{1f469}\u{200d}\u{1f4bb}\u{fe0f} so\u{ad}ft"),
            "\u{1f469}\u{1f4bb} soft"
        );
        assert_eq!(stripped("pay\u{200b}load\u{feff}\tä\n"), "payload\tä\n");
    }

    #[test]
    fn blanks_and_hidden_characters_say_nothing() {
        for blank in [
            "",
            " ",
            "\t\r\n",
            "\u{200b}\u{feff}",
            "\u{a0}\u{3000}",
            "\u{3164}",
            "\u{2800}",
            "\0",
            "\u{ad} \u{2028}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for said in ["a", " . ", "\u{200b}x", "日", "🔥"] {
            assert!(!is_blank(said), "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_else_is_touched(text: String) {
            for shown in [stripped(&text), visible(&text)] {
                prop_assert!(!shown.contains(is_hidden));
            }
            let kept: String = text.chars().filter(|character| !is_hidden(*character)).collect();
            prop_assert_eq!(stripped(&text), kept.as_str());
            prop_assert_eq!(visible(&text).replace('\u{fffd}', ""), kept.replace('\u{fffd}', ""));
        }
    }
}
