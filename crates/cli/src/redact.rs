//! Secrets in texts that are about to be shown.

use std::borrow::Cow;

const PREFIXES: [&str; 6] = ["mcu_", "mcs_", "mca_", "mchi_", "whsec_", "AGE-SECRET-KEY-1"];

/// The same text, with what follows a secret's prefix left out.
pub fn secrets(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    for prefix in PREFIXES {
        if shown.contains(prefix) {
            shown = Cow::Owned(without(&shown, prefix));
        }
    }
    shown
}

fn without(text: &str, prefix: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(prefix) {
        let secret = |char: char| char.is_ascii_alphanumeric() || "+/=_-".contains(char);
        shown.push_str(before);
        shown.push_str(prefix);
        let left = after.trim_start_matches(secret);
        if left.len() < after.len() {
            shown.push('…');
        }
        rest = left;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_cut_after_its_prefix() {
        assert_eq!(secrets("a mcu_abc123 b 'whsec_x/y+z==' mcu_"), "a mcu_… b 'whsec_…' mcu_");
        assert!(matches!(secrets("nothing here"), Cow::Borrowed(_)));
    }
}
