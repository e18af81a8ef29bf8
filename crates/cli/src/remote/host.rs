//! The host of a git remote: which spellings are the same one.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long ssh may take to read its configuration.
const PATIENCE: Duration = Duration::from_secs(3);

const SAME: [(&str, &str); 7] = [
    ("ssh.github.com", "github.com"),
    ("www.github.com", "github.com"),
    ("altssh.gitlab.com", "gitlab.com"),
    ("www.gitlab.com", "gitlab.com"),
    ("altssh.bitbucket.org", "bitbucket.org"),
    ("www.bitbucket.org", "bitbucket.org"),
    ("ssh.codeberg.org", "codeberg.org"),
];

/// A host, in the one spelling that hosts are compared in: lower case, no port,
/// no dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    /// May it be an alias of ssh's configuration?
    is_ssh: bool,
}

impl Host {
    /// Reads `[user@]host[:port]`; nothing if that is no host.
    pub(super) fn of_authority(authority: &str, is_ssh: bool) -> Option<Self> {
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let name = match host.strip_prefix('[') {
            Some(rest) => {
                let (inside, port) = rest.split_once(']')?;
                let port = port.strip_prefix(':').unwrap_or(port);
                is_port(port).then_some(inside)?
            }
            // An address of IPv6, whose brackets are gone.
            None if host.matches(':').count() > 1 => host,
            None => match host.split_once(':') {
                Some((host, port)) => is_port(port).then_some(host)?,
                None => host,
            },
        };
        let fits = |char: char| char.is_alphanumeric() || "._-+:%".contains(char);
        // ssh would read a leading dash as an option.
        let is_host = !name.is_empty() && !name.starts_with('-') && name.chars().all(fits);
        is_host.then(|| Self { name: canonical(name), is_ssh })
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::of_authority(text.trim(), false)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that ssh connects to, where it is an alias; else its own.
    pub fn resolved(&self) -> String {
        let asked = self.is_ssh.then(|| hostname_of_ssh(&self.name)).flatten();
        asked.map_or_else(|| self.name.clone(), |name| canonical(&name))
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The one spelling of a host's name.
pub fn canonical(name: &str) -> String {
    let name = name.trim().trim_end_matches('.').to_lowercase();
    let same = SAME.iter().find(|(other, _)| *other == name);
    same.map_or(name, |(_, name)| (*name).to_owned())
}

/// The host name that `ssh -G` has for an alias; nothing if it does not answer in time.
fn hostname_of_ssh(alias: &str) -> Option<String> {
    let mut child = Command::new("ssh")
        .args(["-G", "--", alias])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        let _ = sender.send(read.ok());
    });
    let text = receiver.recv_timeout(PATIENCE).ok().flatten();
    // It has answered, or takes too long.
    let _ = child.kill();
    let _ = child.wait();
    let text = text?;
    let hostname = text.lines().find_map(|line| line.strip_prefix("hostname "))?;
    Some(hostname.to_owned()).filter(|name| !name.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_equal() {
        for (authority, name) in [
            ("github.com", "github.com"),
            ("GitHub.com.", "github.com"),
            ("git@ssh.github.com:443", "github.com"),
            ("dan:pw@www.github.com:", "github.com"),
            ("git@altssh.gitlab.com:443", "gitlab.com"),
            ("altssh.bitbucket.org", "bitbucket.org"),
            ("[::1]:22", "::1"),
            ("::1", "::1"),
            ("localhost:3000", "localhost"),
        ] {
            let host = Host::of_authority(authority, false).unwrap();
            assert_eq!(host.name(), name, "{authority}");
            assert_eq!(host.resolved(), name, "{authority}");
        }
        for wrong in ["", "git@", "-oProxyCommand=x", "h:port", "a b", "[::1", "[::1]x", "h?q"] {
            assert_eq!(Host::of_authority(wrong, true), None, "{wrong}");
        }
    }
}
