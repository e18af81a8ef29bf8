//! The bridge as a service of the user's: a systemd user unit, or a launchd
//! agent on macOS.

use crate::failure::{Failure, Outcome, io};
use crate::home::Home;
use multiclaude_hybrid_bridge::dirs::remove;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const UNIT: &str = "multiclaude-hybrid-bridge.service";
const LABEL: &str = "dev.multiclaude.hybrid-bridge";
/// The variables that the bridge keeps from the environment it was installed in. None of
/// them holds a secret.
const KEPT: [&str; 4] = ["PATH", "TMUX_TMPDIR", "MULTICLAUDE_API_URL", "LANG"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    Systemd,
    Launchd,
}

#[derive(Debug, Clone)]
pub struct Service {
    manager: Manager,
    home: PathBuf,
}

impl Service {
    pub fn of(home: &Home) -> Self {
        let manager = if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd };
        Self { manager, home: home.user().to_owned() }
    }

    pub fn path(&self) -> PathBuf {
        match self.manager {
            Manager::Systemd => self.home.join(".config/systemd/user").join(UNIT),
            Manager::Launchd => self.home.join(format!("Library/LaunchAgents/{LABEL}.plist")),
        }
    }

    pub fn is_installed(&self) -> bool {
        self.path().exists()
    }

    /// The command line that it was installed with, without the program's name.
    pub fn words(&self) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.path()).ok()?;
        Some(match self.manager {
            Manager::Systemd => words_of_unit(&text),
            Manager::Launchd => {
                let list = text.split_once("<array>")?.1.split_once("</array>")?.0;
                let words =
                    list.split("<string>").skip(2).filter_map(|word| word.split_once("</string>"));
                words
                    .map(|(word, _)| {
                        word.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                    })
                    .collect()
            }
        })
    }

    /// Can services be managed here? A container often has no manager.
    pub fn check(&self) -> Outcome {
        let (program, args): (_, &[&str]) = match self.manager {
            Manager::Systemd => ("systemctl", &["--user", "show-environment"]),
            Manager::Launchd => ("launchctl", &["managername"]),
        };
        run(program, args).map(|_| ()).map_err(|failure| {
            Failure::new(format!("services cannot be installed here: {}", failure.message)).hint(
                "run the bridge yourself, for example in a tmux window: multiclaude-hybrid bridge run",
            )
        })
    }

    /// Installs and starts it: `program` with `args`.
    pub fn install(&self, program: &Path, args: &[String]) -> Outcome {
        let path = self.path();
        let dir = path.parent().unwrap_or(&path);
        fs::create_dir_all(dir).map_err(io("create", dir))?;
        let kept =
            KEPT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let kept: Vec<_> = kept.collect();
        let text = match self.manager {
            Manager::Systemd => unit(program, args, &kept),
            Manager::Launchd => agent(program, args, &kept),
        };
        fs::write(&path, text).map_err(io("write", &path))?;
        match self.manager {
            Manager::Systemd => {
                run("systemctl", &["--user", "daemon-reload"])?;
                run("systemctl", &["--user", "enable", UNIT])?;
                run("systemctl", &["--user", "restart", UNIT])?;
            }
            Manager::Launchd => {
                let path = path.to_string_lossy();
                // It may be loaded with its old description.
                let _ = run("launchctl", &["unload", &path]);
                run("launchctl", &["load", "-w", &path])?;
            }
        }
        Ok(())
    }

    /// Stops and removes it; whether it was there.
    pub fn uninstall(&self) -> Outcome<bool> {
        let path = self.path();
        if !path.exists() {
            return Ok(false);
        }
        let stopped = match self.manager {
            Manager::Systemd => run("systemctl", &["--user", "disable", "--now", UNIT]),
            Manager::Launchd => run("launchctl", &["unload", "-w", &path.to_string_lossy()]),
        };
        remove(&path).map_err(io("remove", &path))?;
        stopped?;
        if self.manager == Manager::Systemd {
            run("systemctl", &["--user", "daemon-reload"])?;
        }
        Ok(true)
    }

    /// Does it go on after the user has logged out? Nothing if that is not known.
    pub fn lingers(&self) -> Option<bool> {
        if self.manager == Manager::Launchd {
            return Some(true);
        }
        let answer =
            run("loginctl", &["show-user", &user(), "--property=Linger", "--value"]).ok()?;
        Some(answer.trim() == "yes")
    }

    /// Lets it go on after the user has logged out.
    #[expect(clippy::unused_self, reason = "it is about this service")]
    pub fn linger(&self) -> Outcome {
        run("loginctl", &["enable-linger"]).map(|_| ())
    }
}

fn user() -> String {
    std::env::var("USER").unwrap_or_default()
}

fn run(program: &str, args: &[&str]) -> Outcome<String> {
    let failed = |reason: String| Failure::new(format!("{program} {}: {reason}", args.join(" ")));
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A word of a systemd command line or assignment.
fn quoted(word: &str) -> String {
    let escaped =
        word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn unit(program: &Path, args: &[String], kept: &[(String, String)]) -> String {
    let words = std::iter::once(program.to_string_lossy().into_owned()).chain(args.iter().cloned());
    let line: Vec<_> = words.map(|word| quoted(&word)).collect();
    // An assignment expands no variables, so its dollar signs stand for themselves.
    let assign = |(name, value): &(String, String)| {
        format!("Environment={}\n", quoted(&format!("{name}={value}")).replace("$$", "$"))
    };
    let environment: String = kept.iter().map(assign).collect();
    format!(
        "[Unit]\nDescription=multiclaude-hybrid bridge\nAfter=network-online.target\n\n[Service]\n\
         ExecStart={}\n{environment}Restart=always\nRestartSec=5\nTimeoutStopSec=10\nUMask=0077\n\n\
         [Install]\nWantedBy=default.target\n",
        line.join(" ")
    )
}

/// The words of `ExecStart`, as [`quoted`] wrote them, without the program's name.
fn words_of_unit(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap_or_default();
    let (mut words, mut word, mut chars) = (Vec::new(), None::<String>, line.chars());
    while let Some(char) = chars.next() {
        match (char, &mut word) {
            ('"', None) => word = Some(String::new()),
            ('"', Some(_)) => words.extend(word.take()),
            // These are written twice, or after a backslash.
            ('\\' | '%' | '$', Some(word)) => word.extend(chars.next()),
            (char, Some(word)) => word.push(char),
            _ => {}
        }
    }
    words.into_iter().skip(1).collect()
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn agent(program: &Path, args: &[String], kept: &[(String, String)]) -> String {
    let words = std::iter::once(program.to_string_lossy().into_owned()).chain(args.iter().cloned());
    let words: Vec<_> = words.map(|word| format!("    <string>{}</string>", xml(&word))).collect();
    let pair = |(name, value): &(String, String)| {
        format!("    <key>{}</key><string>{}</string>", xml(name), xml(value))
    };
    let environment: Vec<_> = kept.iter().map(pair).collect();
    let (words, environment) = (words.join("\n"), environment.join("\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\"><dict>\n  \
         <key>Label</key><string>{LABEL}</string>\n  <key>ProgramArguments</key><array>\n{words}\n  </array>\n  \
         <key>EnvironmentVariables</key><dict>\n{environment}\n  </dict>\n  <key>RunAtLoad</key><true/>\n  \
         <key>KeepAlive</key><true/>\n</dict></plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_quotes_what_systemd_would_expand() {
        let args =
            ["bridge".to_owned(), "run".to_owned(), "--public-url=https://x/%40?a=$b".to_owned()];
        let kept = [("PATH".to_owned(), "/home/d an/bin:/bin".to_owned())];
        let text = unit(Path::new("/home/d an/bin/multiclaude-hybrid"), &args, &kept);
        assert!(
            text.contains("ExecStart=\"/home/d an/bin/multiclaude-hybrid\" \"bridge\" \"run\" \"--public-url=https://x/%%40?a=$$b\"\n"),
            "{text}"
        );
        assert!(text.contains("Environment=\"PATH=/home/d an/bin:/bin\"\n"), "{text}");
        assert_eq!(words_of_unit(&text), args);
    }

    #[test]
    fn an_agent_of_launchd_escapes_its_words() {
        let text = agent(Path::new("/bin/a&b"), &["<x>".to_owned()], &[]);
        assert!(
            text.contains("<string>/bin/a&amp;b</string>")
                && text.contains("<string>&lt;x&gt;</string>")
        );
    }
}
