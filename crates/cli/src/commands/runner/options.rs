//! From the flags of `runner run` to the runner's options: tokens, programs, users and
//! engines are looked for before anything is claimed.

use super::flags::{Kind, RunArgs};
use crate::failure::{Failure, Outcome};
use crate::program::this_program;
use crate::session::{InRepo, Need, Session};
use crate::shim::login_shell::on_path;
use crate::shim::real::Search;
use clap::ValueEnum as _;
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_runner::executor::{
    Container, Engine, EngineError, Executor, Limits, Multiclaude, Process, Template,
};
use multiclaude_hybrid_runner::job::User;
use multiclaude_hybrid_runner::options::{Options, Served};
use multiclaude_hybrid_runner::supervisor::Base;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

impl RunArgs {
    /// The runner's options.
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
                Err(error) if !error.is_temporary() => {
                    return Err(session.explain(error.into(), &at.login));
                }
                _ => repos.push(at),
            }
        }
        self.check()?;
        let limits = Limits {
            timeout_secs: self.worker_timeout.as_secs(),
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
            repos: repos.into_iter().map(|at| served(session, at)).collect(),
            limits,
            max_workers: self.max_workers.into(),
            labels: self.labels.clone(),
            lease_secs: self.lease.as_secs().cast_signed(),
            poll: self.poll,
            listen: self.listen.zip(url),
            node: session.settings.node(),
            drain: self.drain,
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
        let program = this_program()?;
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
            let found = if name.contains('/') {
                PathBuf::from(name).is_file()
            } else {
                on_path(name).is_some()
            };
            if !found {
                return Err(Failure::new(format!("{name}, which workers run, is not installed"))
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
                    "--secret {given}: must be NAME=FILE, and the file must exist"
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

fn served(session: &Session, at: InRepo) -> Served {
    let require_encryption = session.settings.repo(&at.repo).require_encryption;
    Served { repo: at.repo, client: at.client, require_encryption }
}

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
