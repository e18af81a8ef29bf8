//! `agents register`.

use crate::completion;
use crate::crypt;
use crate::failure::{Failure, Outcome};
use crate::output::line;
use crate::sender::{self, Here, LOCAL_NAME, NODE};
use crate::session::{InRepo, Session};
use crate::types;
use clap::Args;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::agent::{Agent, EndpointChange, Registration};
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode};

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    /// The agent's name
    name: AgentName,
    /// Its type: worker, merge-queue, supervisor, workspace, …
    #[arg(long, add = completion::types())]
    r#type: String,
    /// Push its messages to this URL; without one it polls
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Replace an agent of that name that is stopped, or was not seen for 180 s and has no stream
    #[arg(long)]
    take_over: bool,
    /// Allow a type that multiclaude does not have
    #[arg(long)]
    allow_unknown_type: bool,
}

impl RegisterArgs {
    pub(super) fn check(&self) -> Outcome {
        types::check("--type", [self.r#type.as_str()], self.allow_unknown_type)
    }

    pub(super) async fn run(&self, session: &Session, at: &InRepo) -> Outcome {
        if self.endpoint.is_some() {
            session.out.must_be_seen()?;
        }
        let before = self.before(session, at).await?;
        let mut metadata = before.as_ref().map(|agent| agent.metadata.clone()).unwrap_or_default();
        metadata.insert(NODE.to_owned(), session.settings.node());
        match sender::here(session, at)? {
            // In its worktree it is known by its name here.
            Here::With(local) => {
                metadata.insert(LOCAL_NAME.to_owned(), local.name);
            }
            Here::SharedClone if !metadata.contains_key(LOCAL_NAME) => session.out.warn_with(
                &format!(
                    "several agents share this clone, and the tmux window of this command is the window of \
                     none of them: `send` and `inbox` here do not know that an agent is {}",
                    self.name
                ),
                "register it again in its own tmux window",
            ),
            Here::SharedClone | Here::Elsewhere => {}
        }
        crypt::own(session)?.publish(&mut metadata);
        let endpoint = self.endpoint.clone();
        let wish = Registration {
            endpoint: endpoint.map_or(EndpointChange::Keep, EndpointChange::Set),
            instance: Some(session.settings.instance.clone()),
            metadata: Some(metadata),
            take_over: self.take_over,
            ..Registration::new(self.name.clone(), &self.r#type)
        };
        let agent = at.client.register(&wish).await.map_err(|error| self.taken(at, error))?;
        if let Some(before) = before.filter(|before| before.r#type != agent.r#type) {
            session.out.warn(&format!(
                "the type of {} was {}, and is {} now",
                agent.name,
                line(&before.r#type, 40),
                line(&agent.r#type, 40)
            ));
        }
        session.out.show(&agent, || registered(&agent))
    }

    /// The registration of this home under the name, which is renewed with its metadata: a
    /// bridge may have added to it.
    async fn before(&self, session: &Session, at: &InRepo) -> Outcome<Option<Agent>> {
        let ours =
            |agent: &Agent| agent.owner == at.login.owner && session.settings.has_registered(agent);
        match at.client.agent(&self.name).await {
            Ok(agent) => Ok(Some(agent).filter(ours)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn taken(&self, at: &InRepo, error: Error) -> Failure {
        let failure = Failure::from(error);
        match failure.code {
            Some(ErrorCode::AgentExists) => failure.or_hint(|| {
                format!(
                    "choose another name; once that machine is gone (180 s unseen): --take-over; if it is \
                     yours: multiclaude-hybrid agents remove {} --repo {}",
                    self.name, at.repo
                )
            }),
            _ => failure,
        }
    }
}

fn registered(agent: &Agent) -> String {
    let mut text = format!("Registered {} in {} ({}).", agent.name, agent.repo, agent.id);
    if let Some(secret) = &agent.webhook_secret {
        text = format!("{text}\nThe secret of its endpoint, shown only once: {secret}");
    }
    text
}
