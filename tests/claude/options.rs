//! The command line, as far as it matters here. Unknown arguments are ignored.

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) version: bool,
    pub(crate) session_id: Option<String>,
    pub(crate) resume: Option<String>,
    pub(crate) skips_permissions: bool,
    pub(crate) prompt: Option<String>,
}

/// Options of the real program that take a value and mean nothing here.
const WITH_VALUE: [&str; 9] = [
    "--append-system-prompt-file",
    "--append-system-prompt",
    "--system-prompt",
    "--model",
    "--settings",
    "--mcp-config",
    "--permission-mode",
    "--add-dir",
    "--name",
];

impl Options {
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--version" | "-v" => options.version = true,
                "--session-id" => options.session_id = args.next(),
                "--resume" | "-r" => options.resume = args.next(),
                "--dangerously-skip-permissions" => options.skips_permissions = true,
                other if WITH_VALUE.contains(&other) => drop(args.next()),
                other if other.starts_with('-') => {}
                _ => options.prompt = Some(arg),
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_ignored_and_the_rest_is_the_prompt() {
        let args = "--session-id A --dangerously-skip-permissions --append-system-prompt-file F --new hello";
        let options = Options::parse(args.split(' ').map(str::to_owned));
        assert_eq!(options.session_id.as_deref(), Some("A"));
        assert_eq!(options.prompt.as_deref(), Some("hello"));
        assert!(options.skips_permissions && options.resume.is_none());
    }
}
