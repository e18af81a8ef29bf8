//! `mcp --agent`: without a bridge, with a login of this machine.

use super::serve::{Call, serve};
use crate::crypt;
use crate::failure::Outcome;
use crate::sender;
use crate::session::{InRepo, Need, Session};
use multiclaude_hybrid_bridge::tools::mailbox::{self, Seal};
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::{Message, NewMessage};
use tokio::sync::mpsc;

/// Serves the tools on behalf of a registered agent.
pub(super) async fn run(
    session: &Session,
    repo: Option<&str>,
    name: &AgentName,
    as_agent: bool,
) -> Outcome {
    let at = session.in_repo(repo, Need::Use)?;
    // A wrong name, or a token that may not use it, is reported before a client waits. While
    // the coordinator is away, each call reports that: Claude Code starts this only once.
    let mut allowed = as_agent;
    match at.client.agent(name).await {
        Err(error) if error.is_temporary() => {
            session.out.warn(&format!("{error}; the tools work when it is back"));
        }
        Err(error) => return Err(error.into()),
        Ok(agent) => {
            may_serve(&at, &agent, as_agent)?;
            allowed = true;
        }
    }
    let keys = Keys { session, at: &at };
    let (calls, mut called) = mpsc::channel::<Call>(8);
    let answering = async {
        while let Some((tool, args, result)) = called.recv().await {
            // The coordinator was away at the start.
            if !allowed {
                let checked = match at.client.agent(name).await {
                    Ok(agent) => {
                        may_serve(&at, &agent, as_agent).map_err(|failure| failure.one_line())
                    }
                    Err(error) => Err(error.to_string()),
                };
                if let Err(reason) = checked {
                    let _ = result.send(Err(reason));
                    continue;
                }
                allowed = true;
            }
            let _ = result.send(mailbox::call(&at.client, name, &keys, &tool, args).await);
        }
    };
    tokio::select! {
        done = serve(calls) => done,
        () = answering => Ok(()),
    }
}

/// Refuses the agent of another owner, unless that is wanted.
fn may_serve(at: &InRepo, agent: &Agent, as_agent: bool) -> Outcome {
    if as_agent {
        return Ok(());
    }
    sender::check_owner(at, agent, "speak and read", &format!("mcp --agent {}", agent.name))
}

struct Keys<'a> {
    session: &'a Session,
    at: &'a InRepo,
}

impl Seal for Keys<'_> {
    async fn seal(&self, message: NewMessage) -> Result<NewMessage, String> {
        let sealed = crypt::seal(self.session, self.at, message, None).await;
        sealed.map_err(|failure| failure.message)
    }

    fn required(&self) -> bool {
        self.session.settings.repo(&self.at.repo).require_encryption
    }

    fn open(&self, message: Message) -> Result<String, String> {
        let opened = crypt::Reader::new(self.session, &self.at.repo).open(message);
        match opened.error {
            Some(error) => Err(error),
            None => Ok(opened.message.body),
        }
    }
}
