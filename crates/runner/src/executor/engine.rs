//! podman or docker, through its command line.

use super::limits::LIMITS;
use rustix::process::geteuid;
use std::io;
use std::process::{Command, Output, Stdio};

/// Formats that print the controllers of the engine, and for docker whether it is rootless.
const PODMAN_INFO: &str = "{{range .Host.CgroupControllers}}{{.}} {{end}}";
const DOCKER_INFO: &str = "{{if .MemoryLimit}}memory {{end}}{{if .CPUCfsQuota}}cpu {{end}}\
    {{if .PidsLimit}}pids {{end}}{{range .SecurityOptions}}{{.}} {{end}}";

/// An installed engine, and its limits.
#[derive(Debug, Clone)]
pub struct Engine {
    command: Vec<String>,
    /// Is it podman? Its program may have another name.
    pub is_podman: bool,
    /// Limits that it cannot enforce here: `memory`, `cpu`, `processes`.
    pub not_enforced: Vec<String>,
    /// The `uid:gid` of the runner's user, if containers have to run as that user: with a
    /// docker whose daemon is root, and a runner that is not.
    pub user: Option<String>,
}

/// Why an engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be started.
    #[error("{program} cannot be run: {error}")]
    NotRun {
        /// The program.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It fails, for instance because its daemon does not run.
    #[error("{program} does not work: {output}")]
    Failed {
        /// The program.
        program: String,
        /// Its error output.
        output: String,
    },
}

impl Engine {
    /// Finds out which engine this is and what it can limit; `command` is the program and
    /// its global flags.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn find(command: Vec<String>) -> Result<Self, EngineError> {
        let version = ask(&command, &["--version"])?;
        let is_podman = version.to_ascii_lowercase().starts_with("podman");
        let format = if is_podman { PODMAN_INFO } else { DOCKER_INFO };
        let info = ask(&command, &["info", "--format", format])?;
        let has = |entry: &str| info.split_whitespace().any(|found| found == entry);
        let not_enforced = LIMITS.iter().filter(|(controller, _)| !has(controller));
        let maps_root = is_podman || geteuid().is_root() || has("name=rootless");
        let id = || format!("{}:{}", geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Self {
            not_enforced: not_enforced.map(|(_, name)| (*name).to_owned()).collect(),
            user: (!maps_root).then(id),
            command,
            is_podman,
        })
    }

    /// The file name of its program.
    pub fn name(&self) -> &str {
        let program = self.command.first().map_or("", String::as_str);
        program.rsplit('/').next().unwrap_or_default()
    }

    /// Does it enforce this limit?
    pub fn enforces(&self, limit: &str) -> bool {
        !self.not_enforced.iter().any(|not| not == limit)
    }

    /// A command line of the engine with these arguments.
    pub fn command(&self, args: &[&str]) -> Vec<String> {
        self.command.iter().cloned().chain(args.iter().map(|&arg| arg.to_owned())).collect()
    }
}

fn ask(command: &[String], args: &[&str]) -> Result<String, EngineError> {
    let (program, flags) = command.split_first().map_or(("", &[][..]), |(p, f)| (p.as_str(), f));
    let mut asked = Command::new(program);
    asked.args(flags).args(args).stdin(Stdio::null());
    let program = || program.to_owned();
    match asked.output() {
        Ok(Output { status, stdout, .. }) if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        }
        Ok(Output { stderr, .. }) => Err(EngineError::Failed {
            program: program(),
            output: String::from_utf8_lossy(&stderr).trim().to_owned(),
        }),
        Err(error) => Err(EngineError::NotRun { program: program(), error }),
    }
}

/// Explains the exit code of the engine's `run`, for a container that was not stopped.
/// 125 to 127 are the engine's own according to its documentation; a shell in the
/// container uses the last two in the same sense.
pub fn failure(engine: &str, code: i32) -> String {
    match code {
        125 => format!("{engine} could not run the container"),
        126 => "the container could not be started, or a program in it cannot be executed \
            (exit code 126)"
            .to_owned(),
        127 => "there is no such program in the container (exit code 127)".to_owned(),
        137 => "the container was ended by signal 9, which happens if it needs more memory \
            than it may use"
            .to_owned(),
        129..=192 => format!("the container was ended by signal {}", code - 128),
        _ => format!("the container ended with exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A stand-in for an engine that prints these texts.
    fn engine(dir: &tempfile::TempDir, version: &str, info: &str) -> Vec<String> {
        let path = dir.path().join("engine");
        let script = format!("[ \"$1\" = --version ] && echo '{version}' && exit\n{info}\n");
        fs::write(&path, script).unwrap();
        vec!["/bin/sh".to_owned(), path.to_string_lossy().into_owned()]
    }

    #[test]
    fn an_engine_and_its_missing_limits_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let podman =
            Engine::find(engine(&dir, "podman version 4.3.1", "echo cpuset memory pids")).unwrap();
        assert!(podman.is_podman && podman.user.is_none());
        assert_eq!(podman.not_enforced, ["cpu"]);
        assert!(podman.enforces("memory") && !podman.enforces("cpu"));
        assert_eq!(podman.name(), "sh");
        assert_eq!(podman.command(&["rm", "x"])[2..], ["rm", "x"]);
        let docker = engine(&dir, "Docker version 27.0", "echo memory cpu pids name=rootless");
        let docker = Engine::find(docker).unwrap();
        assert!(!docker.is_podman && docker.not_enforced.is_empty() && docker.user.is_none());
    }

    #[test]
    fn the_error_of_a_broken_engine_has_its_own_output() {
        let dir = tempfile::tempdir().unwrap();
        let broken = engine(&dir, "Docker version 27.0", "echo 'no daemon' >&2; exit 1");
        let error = Engine::find(broken).unwrap_err().to_string();
        assert!(error.ends_with("sh does not work: no daemon"), "{error}");
        let error = Engine::find(vec!["/no/such/engine".to_owned()]).unwrap_err();
        assert!(matches!(error, EngineError::NotRun { .. }), "{error}");
    }

    #[test]
    fn an_exit_code_shows_whether_the_engine_or_the_program_failed() {
        let of = |code| failure("podman", code);
        assert_eq!(of(125), "podman could not run the container");
        assert_eq!(of(3), "the container ended with exit code 3");
        assert_eq!(of(143), "the container was ended by signal 15");
        assert!(of(137).contains("memory") && of(127).contains("no such program"));
    }
}
