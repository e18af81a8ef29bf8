//! This binary found as `tmux`, on the PATH of a few calls of multiclaude.
//!
//! Multiclaude asks `tmux display-message -p '#{window_name}'` for the name of
//! the agent that calls it, and gets the window that is *shown*. The call is answered for
//! the pane that it comes from; all others pass through.

use std::ffi::{OsStr, OsString};

const QUESTION: [&str; 3] = ["display-message", "-p", "#{window_name}"];

/// `args` with the caller's pane (`$TMUX_PANE`) in it if they are that question.
pub fn with_own_pane(args: &[OsString], pane: Option<&OsStr>) -> Vec<OsString> {
    match (pane.filter(|pane| !pane.is_empty()), args) {
        (Some(pane), [command, print, format]) if args == QUESTION => {
            let target = [OsStr::new("-t"), pane].map(OsStr::to_owned);
            [command.clone(), print.clone()]
                .into_iter()
                .chain(target)
                .chain([format.clone()])
                .collect()
        }
        _ => args.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str], pane: Option<&str>) -> Vec<OsString> {
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        with_own_pane(&args, pane.map(OsStr::new))
    }

    #[test]
    fn without_a_pane_and_for_all_else_nothing_changes() {
        assert_eq!(asked(&QUESTION, None), QUESTION);
        assert_eq!(asked(&QUESTION, Some("")), QUESTION);
        for words in [
            &[][..],
            &["display-message", "-p"],
            &["display-message", "-p", "-t", "x", "#{window_name}"],
            &["display-message", "-p", "#{pane_pid}"],
            &["display-message", "-p", "#{window_name}", ""],
            &["-L", "x", "display-message", "-p", "#{window_name}"],
        ] {
            assert_eq!(asked(words, Some("%3")), words);
        }
    }
}
