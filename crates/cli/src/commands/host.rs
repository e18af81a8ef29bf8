//! `host`: a cloud box that serves roles for the team.

use super::shell::install_shim;
use crate::commands::bridge::{self, ServeArgs};
use crate::commands::roles::server;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::Home;
use crate::remote::{self, without_user};
use crate::service::Service;
use crate::session::{Need, Session};
use crate::shim::real::Search;
use crate::spelled::Spelled;
use clap::Args;
use multiclaude_hybrid_client::protocol::Repo;
use serde_json::json;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Prepare this machine to serve roles for the team.
///
/// Checks that git, tmux, claude and gh are here, lets multiclaude clone the
/// repo, turns hybrid mode on, adds the shim to your shells' files, and installs the bridge as a
/// service that goes on after you log out. Log in first: `multiclaude-hybrid login`, with a
/// service token of the team.
#[derive(Debug, Args)]
#[command(mut_arg("serve", |arg| arg.required(true)))]
pub struct HostArgs {
    /// The repo: owner/repo on GitHub, or a URL to clone
    repo: String,
    #[command(flatten)]
    serve: Spelled<ServeArgs>,
    /// Do not install the bridge; you run it yourself
    #[arg(long, alias = "no-install")]
    no_bridge: bool,
}

const NEEDED: [(&str, &[&str], &str); 4] = [
    ("git", &["--version"], "multiclaude clones the repo with it"),
    ("tmux", &["-V"], "multiclaude runs agents in it"),
    ("claude", &["--version"], "the agents are Claude Code"),
    (
        "gh",
        &["auth", "status"],
        "agents open and merge pull requests with it; log in with: gh auth login",
    ),
];

impl HostArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let (roles, flags) = (&self.serve.args.roles, &self.serve.words);
        self.serve.args.check()?;
        let (repo, url) = self.repo_and_url()?;
        check_programs()?;
        if session.part_in(&repo).is_none() {
            return Err(Failure::new(format!(
                "this machine has no user or service token for {repo}"
            ))
            .exit(Exit::NotLoggedIn)
            .hint("log in: multiclaude-hybrid login --url URL"));
        }
        for role in roles {
            check_not_served(session, &repo, role).await?;
        }
        let mut steps = vec![clone(session, &repo, &url)?];
        session.change(|settings| {
            settings.node = Some(settings.node());
            settings.repos.entry(repo.to_string()).or_default().enabled = true;
        })?;
        session.note_hosts(&repo, &session.state()?);
        steps.push(format!(
            "Hybrid mode is on for {repo}; this machine is {}.",
            session.settings.node()
        ));
        steps.extend(install_shim()?.to_string().lines().map(str::to_owned));
        if self.no_bridge {
            let line = bridge::run_words(flags).join(" ");
            steps.push(format!("Run the bridge: multiclaude-hybrid {line}"));
        } else {
            steps.extend(install_bridge(session, flags)?);
        }
        let value = json!({ "repo": repo, "serve": roles, "node": session.settings.node(), "steps": steps });
        session.out.show(&value, || steps.join("\n"))
    }

    fn repo_and_url(&self) -> Outcome<(Repo, String)> {
        if let Ok(repo) = Repo::parse(&self.repo) {
            return Ok((repo, format!("https://github.com/{}", self.repo)));
        }
        let repo = remote::resolve(&self.repo).repo().ok_or_else(|| {
            Failure::usage(format!(
                "{:?} is neither an owner/repo nor a URL of one",
                without_user(&self.repo)
            ))
            .hint("for example: multiclaude-hybrid host owner/repo --serve merge-queue")
        })?;
        Ok((repo, self.repo.clone()))
    }
}

fn check_programs() -> Outcome {
    let missing = NEEDED.iter().filter(|(program, args, _)| !works(program, args));
    let lines: Vec<_> = missing.map(|(program, _, why)| format!("{program}: {why}")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::new("this machine lacks programs that agents need")
        .hint(format!("install them, then run this again:\n  {}", lines.join("\n  "))))
}

async fn check_not_served(session: &Session, repo: &Repo, role: &str) -> Outcome {
    let Some(other) = server(session, repo, role).await? else {
        return Ok(());
    };
    let is_ours = session.login(Some(repo), Need::Use)?.acts_for(&other.owner);
    let who_runs = if is_ours { String::new() } else { format!(", {} runs", other.owner) };
    Err(Failure::new(format!(
        "{role} of {repo} is served by {} already ({})",
        other.owner,
        other.status.as_str()
    ))
    .exit(Exit::Conflict)
    .hint(format!(
        "if that machine is gone{who_runs}: multiclaude-hybrid agents remove {role} --repo {repo}"
    )))
}

/// Lets multiclaude clone the repo, unless it has it. Returns what was done.
fn clone(session: &Session, repo: &Repo, url: &str) -> Outcome<String> {
    multiclaude(&["start"])?;
    if let Some(nickname) = session.nickname(repo, &session.state()?) {
        return Ok(format!("multiclaude has {repo} already, as {nickname}."));
    }
    multiclaude(&["repo", "init", url])?;
    Ok(format!("multiclaude has cloned {}.", without_user(url)))
}

/// Installs the bridge. It keeps the flags that it was installed with before.
fn install_bridge(session: &Session, flags: &[String]) -> Outcome<Vec<String>> {
    let installed = Service::of(&session.home).words();
    let mut words = installed.unwrap_or_else(|| bridge::run_words(&[]));
    let more: Vec<_> = flags.iter().filter(|flag| !words.contains(flag)).cloned().collect();
    words.extend(more);
    bridge::install(session, words, true)
}

fn works(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let done = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

fn multiclaude(args: &[&str]) -> Outcome {
    let real = Search::here(Home::SHIM).find().map_err(|error| {
        Failure::new(error.to_string())
            .hint("install multiclaude: https://github.com/dlorenc/multiclaude")
    })?;
    match real.run(&args.iter().map(OsString::from).collect::<Vec<_>>()) {
        0 => Ok(()),
        code => Err(Failure::new(format!("multiclaude {} failed with {code}", args.join(" ")))),
    }
}
