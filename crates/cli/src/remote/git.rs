//! git's answers about a directory and a URL, without a network.

use crate::failure::{Failure, Outcome};
use crate::output::line;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

pub const NAME_THE_REPO: &str =
    "name the repo: --repo owner/repo (config, prompt and leave take owner/repo alone)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub url: String,
}

/// The remote that the working directory's git repository was cloned from:
/// `origin`, else its only one. Nothing if it has none, or is in no repository.
pub fn of_directory() -> Outcome<Option<Named>> {
    let names = match ask(&["remote"]) {
        Answer::Output(names) => names,
        // Only a directory that is in no repository is called so.
        Answer::Failed(why) if why.contains("not a git repository (or any") => return Ok(None),
        Answer::Failed(why) => return Err(unclear(&why)),
        Answer::NoGit if is_below_a_repository() => return Err(unclear("git is not installed")),
        Answer::NoGit => return Ok(None),
    };
    let names: Vec<_> = names.lines().collect();
    let name = match names.as_slice() {
        [] => return Ok(None),
        names if names.contains(&"origin") => "origin",
        [only] => only,
        several => {
            let names: Vec<_> = several.iter().map(|name| line(name, 40)).collect();
            return Err(Failure::usage(format!(
                "the git repository of this directory has several remotes, and none is called origin: {}",
                names.join(", ")
            ))
            .hint(NAME_THE_REPO));
        }
    };
    match ask(&["remote", "get-url", "--", name]) {
        Answer::Output(url) => Ok(Some(Named { name: line(name, 40), url: url.trim().to_owned() })),
        Answer::Failed(why) => Err(unclear(&why)),
        Answer::NoGit => Err(unclear("git is not installed")),
    }
}

fn unclear(why: &str) -> Failure {
    Failure::usage(format!("git cannot tell which repo this directory is of: {}", line(why, 200)))
        .hint(NAME_THE_REPO)
}

/// The URL that git would use for this one; nothing if git fails.
pub fn expanded(url: &str) -> Option<String> {
    match ask(&["ls-remote", "--get-url", "--", url]) {
        Answer::Output(url) => Some(url.trim().to_owned()),
        Answer::Failed(_) | Answer::NoGit => None,
    }
}

enum Answer {
    Output(String),
    /// Its first line about what is wrong.
    Failed(String),
    NoGit,
}

fn ask(args: &[&str]) -> Answer {
    let output = Command::new("git")
        .args(args)
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Answer::Output(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let wrong = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
            let line = text.lines().find(wrong).or_else(|| text.lines().next());
            Answer::Failed(line.unwrap_or("it failed without an error message").to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Answer::NoGit,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn is_below_a_repository() -> bool {
    let here = std::env::current_dir();
    here.is_ok_and(|here| {
        here.ancestors().map(|dir: &Path| dir.join(".git")).any(|git| git.exists())
    })
}
