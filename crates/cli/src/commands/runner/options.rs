//! How a runner runs, as the command line says it.

use crate::failure::{Failure, Outcome};
use crate::session::{InRepo, Need, Session};
use crate::shim::real::Search;
use clap::{Args, ValueEnum};
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_runner::executor::{
    Container, Engine, EngineError, Executor, Limits, Multiclaude, Process, Template,
};
use multiclaude_hybrid_runner::job::User;
use multiclaude_hybrid_runner::run::Options;
use multiclaude_hybrid_runner::supervisor::Base;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use url::Url;

const PLACEHOLDERS: &str = "Placeholders of COMMAND, which no shell reads: {task_file} the file with the \
task, {task} its first line and that file's path, {summary_file} where the worker may write its summary, \
{name}, {id}, {repo}, {branch} where to start, {push_to} where to push, {work} the worker's directory, \
{socket}. The same are in its environment as MULTICLAUDE_HYBRID_TASK_FILE and so on.

Examples:
  multiclaude-hybrid runner run acme/app
  multiclaude-hybrid runner run acme/app --executor container --image worker --secret anthropic=key
  multiclaude-hybrid runner run acme/app --clone -- my-agent --task {task_file}";

/// How a runner runs.
#[derive(Debug, Args)]
#[command(after_help = PLACEHOLDERS)]
pub(super) struct RunArgs {
    /// The repos: multiclaude's names, or owner/repo
    #[arg(required = true, value_name = "REPO")]
    repos: Vec<String>,
    /// How workers are run
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,
    /// How many workers run at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    max_workers: u16,
    /// What requests may ask for; may be repeated
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Ask for requests this often while a worker may be started
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    poll: u64,
    /// Listen for pushed requests here; needs --public-url
    #[arg(long, value_name = "ADDRESS:PORT", requires = "public_url")]
    listen: Option<SocketAddr>,
    /// Where the coordinator reaches the listener
    #[arg(long, value_name = "URL", requires = "listen")]
    public_url: Option<Url>,
    /// End a worker after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: u64,
    /// Keep this much of a worker's output, the end of it (bytes, K, M, G)
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = size)]
    max_output: u64,
    /// End a worker whose directory has grown larger
    #[arg(long, value_name = "SIZE", default_value = "20G", value_parser = size)]
    max_disk: u64,
    /// Memory of a worker, where this machine can limit it
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Cores of a worker, where this machine can limit them
    #[arg(long, value_name = "CORES", value_parser = cores)]
    cpus: Option<u64>,
    /// Processes of a worker, where this machine can limit them
    #[arg(long, value_name = "N", default_value_t = 1024)]
    processes: u64,
    /// How long workers may go on after SIGTERM, before they are stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    drain: u64,
    /// How long the coordinator keeps a request for this runner without hearing of it
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(i64).range(30..=3600))]
    lease: i64,
    /// Where workers' directories are; default: in ~/.multiclaude-hybrid/runner
    #[arg(long, value_name = "DIRECTORY")]
    work_dir: Option<PathBuf>,
    /// Keep workers' directories after their end
    #[arg(long)]
    keep_work: bool,
    /// Process, container: pass on this variable of the environment; may be repeated
    #[arg(long = "env", value_name = "NAME")]
    variables: Vec<String>,
    /// Process: run as this user (the runner has to be root)
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Process: clone the repo for COMMAND too, and run it in the clone
    #[arg(long)]
    clone: bool,
    /// Process: clone from here
    #[arg(long, value_name = "URL", default_value = "https://github.com/{repo}.git")]
    clone_url: String,
    /// Container: the image, IMAGE or REPO=IMAGE; may be repeated
    #[arg(long = "image", value_name = "IMAGE")]
    images: Vec<String>,
    /// Container: podman or docker
    #[arg(long, value_name = "PROGRAM", default_value = "podman")]
    engine: String,
    /// Container: a global flag of the engine; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    engine_flag: Vec<String>,
    /// Container: a further flag of its `run`; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    run_flag: Vec<String>,
    /// Container: its network, as the engine names it
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Container: put this file at /run/secrets/NAME; may be repeated
    #[arg(long = "secret", value_name = "NAME=FILE")]
    secrets: Vec<String>,
    /// Make no control groups, for tests
    #[arg(long, hide = true)]
    no_control_groups: bool,
    /// Divide the coordinator's times, for tests
    #[arg(long, value_name = "N", hide = true, default_value_t = 1)]
    time_scale: u32,
    /// What a worker runs; default: a clone and `claude -p`, or the image's own command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How workers are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// As processes of this machine
    #[default]
    Process,
    /// In containers
    Container,
    /// By the multiclaude of this machine
    Multiclaude,
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number of bytes, or one with K, M or G".to_owned();
    let (digits, unit) = match text.to_ascii_uppercase() {
        text if text.ends_with('K') => (text, 1 << 10),
        text if text.ends_with('M') => (text, 1 << 20),
        text if text.ends_with('G') => (text, 1 << 30),
        text => (text + "B", 1),
    };
    let digits = digits.get(..digits.len() - 1).unwrap_or_default();
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|size| *size > 0).ok_or_else(wrong)
}

/// Thousandths of a core.
fn cores(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(cores) if (0.01..=1024.0).contains(&cores) => Ok((cores * 1000.0) as u64),
        _ => Err("must be a number of cores, from 0.01 to 1024".to_owned()),
    }
}

impl RunArgs {
    /// What the runner is told.
    ///
    /// # Errors
    /// A repo without a token, an executor without what it needs.
    pub(super) async fn options(&self, session: &Session) -> Outcome<Options> {
        let mut repos = Vec::new();
        for given in &self.repos {
            let at = session.in_repo(Some(given), Need::Serve)?;
            if at.login.kind == TokenKind::Admin {
                return Err(Failure::usage(format!(
                    "this machine has only an admin token for {}, which is not for daily work",
                    at.repo
                ))
                .hint("log in with a service token: multiclaude-hybrid login"));
            }
            // A token that was revoked is named before anything waits for requests.
            let config = at.client.config().await;
            match config {
                Err(error) if !error.is_outage() => {
                    return Err(session.explain(error.into(), &at.login));
                }
                _ => repos.push(at),
            }
        }
        self.check()?;
        let limits = Limits {
            timeout_secs: self.timeout,
            output: self.max_output,
            disk: self.max_disk,
            memory: self.memory,
            cpu_milli: self.cpus,
            processes: Some(self.processes),
        };
        let url = self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        Ok(Options {
            home: session.home.user().to_owned(),
            work: self.work_dir.clone(),
            executor: self.executor(session, &repos)?,
            repos: repos.into_iter().map(|at| (at.repo, at.client)).collect(),
            limits,
            max_workers: self.max_workers.into(),
            labels: self.labels.clone(),
            lease_secs: self.lease,
            poll: Duration::from_secs(self.poll),
            listen: self.listen.zip(url),
            node: session.settings.node(),
            drain: Duration::from_secs(self.drain),
            keep_work: self.keep_work,
            scale: self.time_scale,
        })
    }

    /// Flags that belong to another executor would mislead.
    fn check(&self) -> Outcome {
        let given = |kind: Kind, flag: &'static str, given: bool| (kind, flag, given);
        let flags = [
            given(Kind::Process, "--user", self.user.is_some()),
            given(Kind::Process, "--clone", self.clone),
            given(Kind::Container, "--image", !self.images.is_empty()),
            given(Kind::Container, "--engine-flag", !self.engine_flag.is_empty()),
            given(Kind::Container, "--run-flag", !self.run_flag.is_empty()),
            given(Kind::Container, "--network", self.network.is_some()),
            given(Kind::Container, "--secret", !self.secrets.is_empty()),
        ];
        let name = |kind: Kind| kind.to_possible_value().map(|value| value.get_name().to_owned());
        for (kind, flag, given) in flags {
            if given && kind != self.executor {
                return Err(Failure::usage(format!(
                    "{flag} is for --executor {}",
                    name(kind).unwrap_or_default()
                )));
            }
        }
        if self.executor == Kind::Multiclaude && !self.command.is_empty() {
            return Err(Failure::usage("--executor multiclaude runs no COMMAND"));
        }
        Ok(())
    }

    fn executor(&self, session: &Session, repos: &[InRepo]) -> Outcome<Executor> {
        let template = (!self.command.is_empty()).then(|| Template::parse(&self.command));
        let template = template.transpose().map_err(|error| Failure::usage(error.to_string()))?;
        if self.executor == Kind::Process {
            self.programs()?;
        }
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format!("this program cannot be found: {error}")))?;
        Ok(match self.executor {
            Kind::Process => Executor::Process(Process {
                base: if self.no_control_groups { None } else { Base::find() },
                command: template,
                clone: self.clone,
                clone_url: self.clone_url.clone(),
                inherited: self.variables.clone(),
                user: self.user.as_deref().map(user).transpose()?,
                program,
            }),
            Kind::Container => Executor::Container(self.container(session, template)?),
            Kind::Multiclaude => {
                let found = Search::here("multiclaude").find().map_err(|_| {
                    Failure::new("multiclaude is not on the PATH")
                        .hint("install it, or choose --executor process or container")
                })?;
                let named = |at: &InRepo| {
                    let nickname = at.nickname.clone().ok_or_else(|| {
                        Failure::new(format!("multiclaude has no clone of {} here", at.repo))
                            .hint(format!("multiclaude repo init https://github.com/{}", at.repo))
                    })?;
                    Ok((at.repo.clone(), nickname))
                };
                Executor::Multiclaude(Multiclaude {
                    program: found.path().to_owned(),
                    nicknames: repos.iter().map(named).collect::<Outcome<_>>()?,
                    own: program,
                    home: session.home.user().to_owned(),
                })
            }
        })
    }

    /// A runner that lacks a program would fail every request of the team.
    fn programs(&self) -> Outcome {
        let own = self.command.first().map(String::as_str);
        let clones = own.is_none() || self.clone;
        let needed = [Some(own.unwrap_or("claude")), clones.then_some("git")];
        for name in needed.into_iter().flatten().filter(|name| !name.contains('{')) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = if name.contains('/') {
                PathBuf::from(name).is_file()
            } else {
                std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
            };
            if !found {
                return Err(Failure::new(format!("{name}, which workers run, is not there"))
                    .hint("install it, or name another program: runner run REPO -- COMMAND"));
            }
        }
        Ok(())
    }

    fn container(&self, session: &Session, command: Option<Template>) -> Outcome<Container> {
        let (mut image, mut images) = (None, BTreeMap::new());
        for given in &self.images {
            match given.split_once('=') {
                Some((repo, of_repo)) => {
                    let (repo, _) = session.resolve(Some(repo))?;
                    images.insert(repo, of_repo.to_owned());
                }
                None => image = Some(given.clone()),
            }
        }
        if image.is_none() && images.is_empty() {
            return Err(Failure::usage("--executor container needs an --image")
                .hint("docs/worker has a Dockerfile for one"));
        }
        let mut secrets = BTreeMap::new();
        for given in &self.secrets {
            let (name, file) = given.split_once('=').unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let file = std::path::absolute(file).unwrap_or_default();
            if name.is_empty() || !name.chars().all(plain) || !file.is_file() {
                return Err(Failure::usage(format!(
                    "--secret {given}: must be NAME=FILE, of a file that is there"
                )));
            }
            secrets.insert(name.to_owned(), file);
        }
        let engine: Vec<_> =
            std::iter::once(&self.engine).chain(&self.engine_flag).cloned().collect();
        let engine = Engine::find(engine).map_err(|error| {
            let hint = matches!(error, EngineError::NotRun { .. });
            let failure = Failure::new(error.to_string());
            if hint {
                failure.hint("install it (apt install podman), or name another with --engine")
            } else {
                failure
            }
        })?;
        Ok(Container {
            engine,
            image,
            images,
            command,
            flags: self.run_flag.clone(),
            network: self.network.clone(),
            inherited: self.variables.clone(),
            secrets,
        })
    }
}

/// The user of this name.
fn user(name: &str) -> Outcome<User> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("--user needs a runner that is root"));
    }
    let output = Command::new("getent").args(["passwd", "--", name]).stdin(Stdio::null()).output();
    let line = output.ok().filter(|output| output.status.success());
    let line = line.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let user = line.as_deref().and_then(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?.to_owned();
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(User { uid, gid, home: fields.nth(1)?.to_owned(), name })
    });
    user.ok_or_else(|| {
        Failure::new(format!("there is no user {name}"))
            .hint(format!("useradd --create-home {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_cores_have_units() {
        assert_eq!(
            (size("10"), size("2k"), size("3M"), size("1G")),
            (Ok(10), Ok(2048), Ok(3 << 20), Ok(1 << 30))
        );
        assert!(
            size("").is_err()
                && size("1.5G").is_err()
                && size("0").is_err()
                && size("99999999999G").is_err()
        );
        assert_eq!((cores("0.5"), cores("2")), (Ok(500), Ok(2000)));
        assert!(cores("0").is_err() && cores("many").is_err());
    }
}
