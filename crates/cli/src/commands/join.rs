//! `join`: a second machine, with an invitation.

use super::bridge;
use super::invite::Invitation;
use super::login::{ask_secret, keep};
use super::mcp;
use super::roles::stand_down_all;
use crate::doctor;
use crate::failure::{Exit, Failure, Outcome};
use crate::secrets;
use crate::session::Session;
use crate::settings::check_label;
use clap::Args;
use multiclaude_hybrid_bridge::names::holder_of_label;
use multiclaude_hybrid_client::{AgentFilter, BaseUrl, BaseUrlError, RepoClient};
use serde_json::json;

/// Join a team with an invitation from standard input.
///
/// Saves the token, installs the bridge as a user service, offers to add the MCP server to your
/// Claude Code settings, and runs the checks of `doctor`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct JoinArgs {
    /// The label of this machine, with which its agents' names end [default: from the host's name]
    #[arg(long, value_name = "LABEL", value_parser = check_label)]
    node: Option<String>,
    /// Allow plain http to another machine; the token can be read on the way
    #[arg(long)]
    allow_http: bool,
    /// Keep the token in the file even where there is a keychain
    #[arg(long)]
    no_keychain: bool,
    /// Do not install the bridge; you run it yourself
    #[arg(long)]
    no_bridge: bool,
    /// Add our MCP server to your Claude Code settings, without asking
    #[arg(long)]
    mcp: bool,
    /// Retire the local agent of this role, for one that another machine serves
    #[arg(long, value_name = "ROLE")]
    stand_down: Vec<String>,
}

impl JoinArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let invitation = Invitation::find(&ask_secret("Invitation: ")?)?;
        let base = BaseUrl::parse(&invitation.url, self.allow_http).map_err(|error| {
            Failure::usage(format!("the invitation: {error}")).hint(match error {
                BaseUrlError::Plain { .. } => {
                    "on a network of your own: multiclaude-hybrid join --allow-http"
                }
                BaseUrlError::Malformed { .. } => "ask for a new invitation",
            })
        })?;
        let client = session.client_with(base.as_str(), self.allow_http, &invitation.token)?;
        let repo = client.repo(&invitation.repo);
        let node = self.node.clone().unwrap_or_else(|| session.settings.node());
        free_label(session, &repo, &node).await?;
        let keychain = !self.no_keychain;
        let (login, _) = keep(session, &base, self.allow_http, keychain, &invitation.token).await?;
        session.change(|settings| {
            let here = settings.repos.entry(invitation.repo.to_string()).or_default();
            here.enabled = true;
            here.api_endpoint = Some(base.to_string());
            settings.node = Some(node.clone());
        })?;
        session.note_hosts(&invitation.repo, &session.state()?);
        let mut steps = self.bridge(session);
        steps.push(mcp::added(session, self.mcp));
        steps.extend(stand_down_all(session, &invitation.repo, &self.stand_down).await?);
        let checks = doctor::all(session, Some(&invitation.repo)).await;
        let value = json!({
            "repo": invitation.repo, "url": login.url, "owner": login.owner, "node": node,
            "token_id": login.token_id, "place": login.place, "steps": steps, "doctor": checks,
        });
        session.out.show(&value, || {
            let place = secrets::place_name(&session.home, login.place);
            format!(
                "Joined {} as {}, this machine is {node}.\nThe token is in {place}.\n{}\n\n{}",
                invitation.repo,
                login.owner,
                steps.join("\n"),
                doctor::text(&checks)
            )
        })
    }

    /// Installs the bridge, if that is wanted and possible; returns notes for the user.
    fn bridge(&self, session: &Session) -> Vec<String> {
        let by_hand = "Messages are exchanged while a bridge runs: multiclaude-hybrid bridge run";
        if session.home.bridge().is_running() {
            return vec!["The bridge that runs here serves this repo now.".to_owned()];
        }
        if self.no_bridge {
            return vec![by_hand.to_owned()];
        }
        match bridge::install(session, bridge::run_words(&[]), false) {
            Ok(steps) => steps,
            Err(failure) => vec![
                format!("The bridge was not installed: {}", failure.message),
                by_hand.to_owned(),
            ],
        }
    }
}

/// A label belongs to one machine in a repo.
async fn free_label(session: &Session, repo: &RepoClient, node: &str) -> Outcome {
    let agents = repo.agents(&AgentFilter::default()).await?;
    match holder_of_label(&agents, node, &session.settings.instance) {
        None => Ok(()),
        Some(agent) => Err(Failure::new(format!(
            "another machine is called {node} already: {} of {} is there",
            agent.name, agent.owner
        ))
        .exit(Exit::Conflict)
        .hint("choose another label: multiclaude-hybrid join --node LABEL (the invitation is still good)")),
    }
}
