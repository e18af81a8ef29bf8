//! Claude Code's own settings of this user, `~/.claude.json`: the MCP server that
//! Claude Code starts in every session.
//!
//! Everything else in the file stays as it is, byte for byte. A file that is not JSON
//! is left alone.

use crate::failure::{Failure, Outcome, io};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The server's name in the file.
pub const SERVER: &str = "multiclaude-hybrid";
const SERVERS: &str = "mcpServers";

/// A change of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    before: Option<Vec<u8>>,
    after: String,
    mode: u32,
}

/// `~/.claude.json`.
pub fn path(home: &Path) -> PathBuf {
    home.join(".claude.json")
}

/// The program that the file names for our server; nothing if it has none.
///
/// # Errors
/// The file cannot be read, or is not JSON.
pub fn installed(home: &Path) -> Outcome<Option<PathBuf>> {
    let Some(text) = read(&path(home))? else {
        return Ok(None);
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| broken(&path(home), &error))?;
    let program = value.pointer(&format!("/{SERVERS}/{SERVER}/command")).and_then(Value::as_str);
    Ok(program.map(PathBuf::from))
}

/// What makes Claude Code start `program` in every session; nothing if it does so
/// already.
///
/// # Errors
/// As [`installed`].
pub fn add(home: &Path, program: &Path) -> Outcome<Option<Change>> {
    if installed(home)?.as_deref() == Some(program) {
        return Ok(None);
    }
    let text = |text: &str| CstInputValue::String(text.to_owned());
    let server = CstInputValue::Object(vec![
        ("type".to_owned(), text("stdio")),
        ("command".to_owned(), text(&program.display().to_string())),
        ("args".to_owned(), CstInputValue::Array(vec![text("mcp")])),
    ]);
    change(home, |root| {
        let servers = root.object_value_or_set(SERVERS);
        match servers.get(SERVER) {
            Some(entry) => entry.set_value(server),
            None => drop(servers.append(SERVER, server)),
        }
    })
}

/// What takes our server out again; nothing if it is not there.
///
/// # Errors
/// As [`installed`].
pub fn remove(home: &Path) -> Outcome<Option<Change>> {
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

fn change(home: &Path, edit: impl FnOnce(&CstObject)) -> Outcome<Option<Change>> {
    let path = path(home);
    let before = read(&path)?;
    let text = before.clone().unwrap_or_else(|| "{}\n".to_owned());
    let root = CstRootNode::parse(&text, &ParseOptions::default());
    let root = root.map_err(|error| broken(&path, &error))?;
    let object = root.object_value().ok_or_else(|| broken(&path, &"it is not an object"))?;
    edit(&object);
    let after = root.to_string();
    // What Claude Code reads next must be JSON.
    serde_json::from_str::<Value>(&after).map_err(|error| broken(&path, &error))?;
    let mode = fs::metadata(&path).map_or(0o600, |found| found.permissions().mode() & 0o777);
    Ok(Some(Change { path, before: before.map(String::into_bytes), after, mode }))
}

impl Change {
    /// The text that comes in and goes out, one line each.
    pub fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        let (before, after) = (String::from_utf8_lossy(before), self.after.as_str());
        let same = before.chars().zip(after.chars()).take_while(|(one, other)| one == other);
        let start: usize = same.map(|(one, _)| one.len_utf8()).sum();
        let (gone, come) = (&before[start..], &after[start..]);
        let same =
            gone.chars().rev().zip(come.chars().rev()).take_while(|(one, other)| one == other);
        let end: usize = same.map(|(one, _)| one.len_utf8()).sum();
        let lines = |sign: char, text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !matches!(line.trim(), "" | ","));
            lines.map(|line| format!("{sign} {line}")).collect()
        };
        let mut shown = lines('-', &gone[..gone.len() - end]);
        shown.extend(lines('+', &come[..come.len() - end]));
        shown.join("\n")
    }

    /// Writes it, unless the file has changed meanwhile.
    ///
    /// # Errors
    /// It cannot be written, or has changed.
    pub fn apply(&self) -> Outcome {
        let now = read(&self.path)?.map(String::into_bytes);
        if now != self.before {
            return Err(Failure::new(format!(
                "{} has changed meanwhile; nothing was written",
                self.path.display()
            ))
            .hint("run the command again"));
        }
        // A link stays one: what it leads to is replaced.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let dir = target.parent().unwrap_or(Path::new("/"));
        let write = || {
            let mut draft = tempfile::NamedTempFile::new_in(dir)?;
            draft.write_all(self.after.as_bytes())?;
            draft.as_file().set_permissions(Permissions::from_mode(self.mode))?;
            draft.as_file().sync_all()?;
            draft.persist(&target).map(drop).map_err(|error| error.error)
        };
        write().map_err(io("write", &target))
    }
}

fn read(path: &Path) -> Outcome<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", path)(error)),
    }
}

fn broken(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("{} is not the JSON that Claude Code writes: {error}", path.display()))
        .hint("nothing was changed; repair the file, or let `claude` write a new one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(text: Option<&str>) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            fs::write(path(home.path()), text).unwrap();
        }
        home
    }

    fn now(home: &tempfile::TempDir) -> String {
        fs::read_to_string(path(home.path())).unwrap()
    }

    #[test]
    fn everything_else_in_the_file_stays_as_it_is() {
        for text in [
            "{\n  \"numStartups\": 3,\n\t\"odd\":   [1,2 ],\n  \"last\": 1e3\n}",
            r#"{"a":1,"mcpServers":{"other":{"command":"x"}},"z":"\u00e9\u0000"}"#,
            "{\n  \"mcpServers\": {\n    \"other\": {\n      \"command\": \"x\"\n    }\n  }\n}\n",
            "{}",
        ] {
            let home = home(Some(text));
            let change = add(home.path(), Path::new("/bin/us")).unwrap().unwrap();
            change.apply().unwrap();
            assert_eq!(installed(home.path()).unwrap(), Some(PathBuf::from("/bin/us")));
            assert!(change.diff().contains("/bin/us") && !change.diff().contains("numStartups"));
            assert_eq!(add(home.path(), Path::new("/bin/us")).unwrap(), None);
            // Another program is another entry, in its place.
            add(home.path(), Path::new("/bin/new")).unwrap().unwrap().apply().unwrap();
            let value: Value = serde_json::from_str(&now(&home)).unwrap();
            assert_eq!(value["mcpServers"][SERVER]["command"], "/bin/new");
            remove(home.path()).unwrap().unwrap().apply().unwrap();
            let (before, after): (Value, Value) =
                (serde_json::from_str(text).unwrap(), serde_json::from_str(&now(&home)).unwrap());
            assert_eq!(before, after);
            // The rest is the same text.
            for part in ["[1,2 ]", "1e3", "\\u00e9\\u0000"] {
                assert_eq!(text.contains(part), now(&home).contains(part), "{}", now(&home));
            }
        }
    }

    #[test]
    fn a_broken_file_is_left_alone_and_a_missing_one_is_made_private() {
        for text in ["{\"a\": ", "[]", "{\"a\": 1,}", "// x\n{}"] {
            let home = home(Some(text));
            let failure = add(home.path(), Path::new("/bin/us")).unwrap_err();
            assert!(failure.message.contains(".claude.json is not the JSON"), "{failure:?}");
            assert_eq!(now(&home), text);
        }
        let home = home(None);
        assert_eq!(remove(home.path()).unwrap(), None);
        add(home.path(), Path::new("/bin/us")).unwrap().unwrap().apply().unwrap();
        let mode = fs::metadata(path(home.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_has_changed_meanwhile_is_not_overwritten() {
        let home = home(Some("{}"));
        let change = add(home.path(), Path::new("/bin/us")).unwrap().unwrap();
        fs::write(path(home.path()), "{\"new\": 1}").unwrap();
        assert!(change.apply().is_err());
        assert_eq!(now(&home), "{\"new\": 1}");
    }
}
