//! Claude Code's own settings of this user, `~/.claude.json`: the MCP server that
//! Claude Code starts in every session.
//!
//! Everything else in the file stays as it is, byte for byte. A file that is not JSON
//! is left alone.

mod change;

pub use change::Change;

use crate::failure::{Exit, Failure, Outcome};
use crate::files;
use crate::home::Home;
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

pub const SERVER: &str = "multiclaude-hybrid";
const SERVERS: &str = "mcpServers";
const ARGS: [&str; 1] = ["mcp"];

/// The entry of our server's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    None,
    /// A start of our program, perhaps of another copy or with other arguments.
    Ours { command: PathBuf, args: Vec<String> },
    /// A foreign server: its program or address. Its arguments may be secret.
    Foreign(String),
}

impl Entry {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if value.is_null() {
            return Self::None;
        }
        let Some(command) = text("command") else {
            let url = text("url").and_then(|url| url.split('?').next());
            return Self::Foreign(url.unwrap_or("an entry without a command").to_owned());
        };
        let args = value.get("args").and_then(Value::as_array).into_iter().flatten();
        let args: Vec<_> = args.filter_map(Value::as_str).map(str::to_owned).collect();
        // Ours may be started by another program: `env A=1 multiclaude-hybrid mcp`.
        let mut words = std::iter::once(command).chain(args.iter().map(String::as_str));
        if words.any(|word| is_us(Path::new(word))) {
            return Self::Ours { command: command.into(), args };
        }
        Self::Foreign(command.to_owned())
    }
}

/// Is it our program, by its name or because it is the one that runs?
fn is_us(program: &Path) -> bool {
    let is_this_one = || {
        let this = std::env::current_exe().and_then(fs::canonicalize).ok();
        this.is_some() && this == fs::canonicalize(program).ok()
    };
    program.file_name().is_some_and(|name| name == SERVER)
        || (program.is_absolute() && is_this_one())
}

/// The entry of the file under our server's name.
pub fn entry(home: &Home) -> Outcome<Entry> {
    let Some(text) = files::read(&home.claude_code())? else {
        return Ok(Entry::None);
    };
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| broken(&home.claude_code(), &error))?;
    Ok(Entry::of(value.pointer(&format!("/{SERVERS}/{SERVER}")).unwrap_or(&Value::Null)))
}

/// The program that the file names for our server; nothing if it has none.
pub fn installed(home: &Home) -> Outcome<Option<PathBuf>> {
    Ok(match entry(home)? {
        Entry::Ours { command, .. } => Some(command),
        Entry::None | Entry::Foreign(_) => None,
    })
}

/// Are these the arguments that our server is started with?
pub fn is_right(args: &[String]) -> bool {
    args == ARGS
}

/// The change that makes Claude Code start `program mcp` in every session; nothing if it
/// does so already. Other fields of our entry, such as `env`, stay.
pub fn add(home: &Home, program: &Path) -> Outcome<Option<Change>> {
    match entry(home)? {
        Entry::Ours { command, args } if command == program && is_right(&args) => return Ok(None),
        Entry::Foreign(what) => return Err(foreign(home, &what)),
        Entry::None | Entry::Ours { .. } => {}
    }
    let text = |text: &str| CstInputValue::String(text.to_owned());
    let wanted = [
        ("type", text("stdio")),
        ("command", text(&program.display().to_string())),
        ("args", CstInputValue::Array(ARGS.into_iter().map(text).collect())),
    ];
    change(home, |root| {
        let server = root.object_value_or_set(SERVERS).object_value_or_set(SERVER);
        for (name, value) in wanted {
            match server.get(name) {
                Some(known) => known.set_value(value),
                None => drop(server.append(name, value)),
            }
        }
    })
}

/// The change that removes our server; nothing if it is not there.
pub fn remove(home: &Home) -> Outcome<Option<Change>> {
    if installed(home)?.is_none() {
        return Ok(None);
    }
    change(home, |root| {
        let servers = root.get(SERVERS);
        let entry = root.object_value(SERVERS).and_then(|servers| servers.get(SERVER));
        if let Some(entry) = entry {
            entry.remove();
        }
        // Only what is empty because of us.
        let empty = root.object_value(SERVERS).is_some_and(|left| left.properties().is_empty());
        if let (true, Some(servers)) = (empty, servers) {
            servers.remove();
        }
    })
}

fn foreign(home: &Home, what: &str) -> Failure {
    Failure::new(format!(
        "{} has another MCP server called {SERVER}, which is not this program: {what}",
        home.claude_code().display()
    ))
    .exit(Exit::Conflict)
    .hint(format!(
        "nothing was changed; if it is not needed: claude mcp remove --scope user {SERVER}; then: multiclaude-hybrid \
         mcp install"
    ))
}

fn change(home: &Home, edit: impl FnOnce(&CstObject)) -> Outcome<Option<Change>> {
    let path = home.claude_code();
    let before = files::read(&path)?;
    let text = str::from_utf8(before.as_deref().unwrap_or(b"{}\n"));
    let text = text.map_err(|error| broken(&path, &error))?;
    let root = CstRootNode::parse(text, &ParseOptions::default());
    let root = root.map_err(|error| broken(&path, &error))?;
    let object = root.object_value().ok_or_else(|| broken(&path, &"it is not an object"))?;
    edit(&object);
    let after = root.to_string();
    // Claude Code must be able to read the result.
    serde_json::from_str::<Value>(&after).map_err(|error| broken(&path, &error))?;
    Ok(Some(Change { path, before, after }))
}

fn broken(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("{} is not the JSON that Claude Code writes: {error}", path.display()))
        .hint("nothing was changed; repair the file, or let `claude` write a new one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const US: &str = "/bin/multiclaude-hybrid";
    const NEW: &str = "/new/multiclaude-hybrid";

    fn home(text: Option<&str>) -> (Home, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        if let Some(text) = text {
            fs::write(home.claude_code(), text).unwrap();
        }
        (home, dir)
    }

    fn now(home: &Home) -> String {
        fs::read_to_string(home.claude_code()).unwrap()
    }

    #[test]
    fn everything_else_in_the_file_stays_as_it_is() {
        for text in [
            "{\n  \"numStartups\": 3,\n\t\"odd\":   [1,2 ],\n  \"last\": 1e3\n}",
            r#"{"a":1,"mcpServers":{"other":{"command":"x"}},"z":"\u00e9\u0000"}"#,
            "{\n  \"mcpServers\": {\n    \"other\": {\n      \"command\": \"x\"\n    }\n  }\n}\n",
            "{}",
        ] {
            let (home, _dir) = home(Some(text));
            let change = add(&home, Path::new(US)).unwrap().unwrap();
            change.apply().unwrap();
            assert_eq!(installed(&home).unwrap(), Some(PathBuf::from(US)));
            assert!(change.diff().contains(US) && !change.diff().contains("numStartups"));
            assert_eq!(add(&home, Path::new(US)).unwrap(), None);
            // Another program is another entry, in its place.
            add(&home, Path::new(NEW)).unwrap().unwrap().apply().unwrap();
            let value: Value = serde_json::from_str(&now(&home)).unwrap();
            assert_eq!(value["mcpServers"][SERVER]["command"], NEW);
            remove(&home).unwrap().unwrap().apply().unwrap();
            let (before, after): (Value, Value) =
                (serde_json::from_str(text).unwrap(), serde_json::from_str(&now(&home)).unwrap());
            assert_eq!(before, after);
            // The rest is the same text.
            for part in ["[1,2 ]", "1e3", "\\u00e9\\u0000"] {
                assert_eq!(text.contains(part), now(&home).contains(part), "{}", now(&home));
            }
        }
    }

    fn with_server(server: &str) -> (Home, tempfile::TempDir) {
        home(Some(&format!("{{\n  \"mcpServers\": {{ \"{SERVER}\": {server} }}\n}}\n")))
    }

    #[test]
    fn the_running_program_is_ours_whatever_its_file_is_called() {
        let us = std::env::current_exe().unwrap();
        let entry = |command: &Path| Entry::of(&serde_json::json!({ "command": command }));
        assert!(matches!(entry(&us), Entry::Ours { .. }));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("mch");
        std::os::unix::fs::symlink(&us, &link).unwrap();
        assert!(matches!(entry(&link), Entry::Ours { .. }));
        for other in ["/bin/sh", "mch", "/no/such/program"] {
            assert!(matches!(entry(Path::new(other)), Entry::Foreign(_)), "{other}");
        }
    }

    #[test]
    fn a_wrong_entry_of_ours_is_corrected_and_keeps_the_rest() {
        for (server, gone) in [
            (r#"{"command": "/bin/multiclaude-hybrid", "args": [], "env": {"A": "1"}}"#, "[]"),
            (r#"{"command": "/bin/multiclaude-hybrid", "env": {"A": "1"}}"#, ""),
            (
                r#"{"args": ["mcp", "-x"], "command": "/bin/multiclaude-hybrid", "env": {"A": "1"}}"#,
                "-x",
            ),
            (
                r#"{"command": "/old/multiclaude-hybrid", "args": ["mcp"], "env": {"A": "1"}}"#,
                "/old",
            ),
            (
                r#"{"command": "nice", "args": ["/bin/multiclaude-hybrid", "mcp"], "env": {"A": "1"}}"#,
                "nice",
            ),
        ] {
            let (home, _dir) = with_server(server);
            let change = add(&home, Path::new(US)).unwrap().expect(server);
            let diff = change.diff();
            let out: Vec<_> = diff.lines().filter(|line| line.starts_with('-')).collect();
            assert!(gone.is_empty() || out.iter().any(|line| line.contains(gone)), "{diff}");
            change.apply().unwrap();
            let value: Value = serde_json::from_str(&now(&home)).unwrap();
            let wanted = serde_json::json!({
                "type": "stdio", "command": US, "args": ["mcp"], "env": {"A": "1"},
            });
            assert_eq!(value["mcpServers"][SERVER], wanted, "{server}");
            assert_eq!(add(&home, Path::new(US)).unwrap(), None);
        }
    }

    #[test]
    fn a_foreign_server_with_our_name_is_left_alone() {
        for (server, named) in [
            (r#"{"command": "npx", "args": ["-y", "their-server"]}"#, "program: npx"),
            (
                r#"{"type": "http", "url": "https://example.com/mcp?key=s3cret"}"#,
                "https://example.com/mcp",
            ),
            (r#"{"command": "/bin/not-multiclaude-hybrid"}"#, "/bin/not-"),
            ("[1]", "without a command"),
        ] {
            let (home, _dir) = with_server(server);
            let before = now(&home);
            let failure = add(&home, Path::new(US)).unwrap_err();
            assert!(failure.message.contains(named), "{failure:?}");
            assert!(!failure.message.contains("s3cret"), "{failure:?}");
            assert_eq!(remove(&home).unwrap(), None);
            assert_eq!((installed(&home).unwrap(), now(&home)), (None, before));
        }
    }

    #[test]
    fn a_broken_file_is_left_alone_and_a_missing_one_is_made_private() {
        for text in ["{\"a\": ", "[]", "{\"a\": 1,}", "// x\n{}"] {
            let (home, _dir) = home(Some(text));
            let failure = add(&home, Path::new(US)).unwrap_err();
            assert!(failure.message.contains(".claude.json is not the JSON"), "{failure:?}");
            assert_eq!(now(&home), text);
        }
        let (home, _dir) = home(None);
        assert_eq!(remove(&home).unwrap(), None);
        add(&home, Path::new(US)).unwrap().unwrap().apply().unwrap();
        let mode = fs::metadata(home.claude_code()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_has_changed_meanwhile_is_not_overwritten() {
        let (home, _dir) = home(Some("{}"));
        let change = add(&home, Path::new(US)).unwrap().unwrap();
        fs::write(home.claude_code(), "{\"new\": 1}").unwrap();
        assert!(change.apply().is_err());
        assert_eq!(now(&home), "{\"new\": 1}");
    }
}
