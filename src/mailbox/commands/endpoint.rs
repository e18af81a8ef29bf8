//! Commands that set up, close and test an endpoint.

use crate::delivery::{self, Post};
use crate::mailbox::Refused;
use crate::mailbox::command::{Answer, Configured, Effect};
use crate::mailbox::object::MailboxObject;
use crate::vault::Vault;
use crate::{clock, log, random};
use multiclaude_hybrid_core::mailbox::{ConfigureRequest, Write};
use multiclaude_hybrid_core::registry::Version;
use multiclaude_hybrid_core::secrets;
use multiclaude_hybrid_protocol::agent::EndpointTest;
use multiclaude_hybrid_protocol::push::{PushKind, TestedAgent, envelope};
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentId, Owner, Timestamp};

impl MailboxObject {
    /// Puts a configuration in force, with the given secret or, if one is needed or
    /// asked for, a generated one, which the answer shows.
    pub(in crate::mailbox) fn configure(
        &self,
        request: ConfigureRequest,
        given: Option<&str>,
        rotate: bool,
    ) -> Result<Answer, Refused> {
        let given = given.map(Secret::parse).transpose().map_err(Refused::broken)?;
        let replaces = match &given {
            Some(secret) => !self.signs_with(secret),
            None => rotate,
        };
        let needed = self.with(|core| core.needs_secret(&request, replaces))??;
        self.create_once()?;
        self.flush()?;
        let generated = match &given {
            None if needed => Some(Secret::new(random::bytes().map_err(Refused::broken)?)),
            _ => None,
        };
        let secret = given.as_ref().or(generated.as_ref()).filter(|_| needed);
        let settings = self.settings()?;
        let vault = Vault::of_agent(&settings.keys, &self.name, &request.agent_id);
        let sealed = secret.map(|secret| vault.seal(secret)).transpose();
        let sealed = sealed.map_err(Refused::broken)?;
        let writes = self.with(|core| core.configure(request, sealed, clock::now()))??;
        self.put_in_force(writes)?;
        let webhook_secret = generated.map(|secret| secret.reveal());
        Answer::json(Effect::Changed, &Configured { webhook_secret })
    }

    fn put_in_force(&self, writes: Vec<Write>) -> Result<(), Refused> {
        self.apply_writes(writes)?;
        self.end_foreign_stream()
    }

    /// The first configuration makes the tables; until then nothing is stored, so guessed
    /// names leave no trace.
    fn create_once(&self) -> Result<(), Refused> {
        if self.with(|core| core.config().is_none())? {
            self.sql.create()?;
        }
        Ok(())
    }

    fn signs_with(&self, secret: &Secret) -> bool {
        self.secrets().is_ok_and(|secrets| secrets.first() == Some(secret))
    }

    /// The secrets that sign now, the newest first.
    pub(in crate::mailbox) fn secrets(&self) -> Result<Vec<Secret>, Refused> {
        let (now, settings) = (clock::now(), self.settings()?);
        self.with(|core| {
            let Some(config) = core.current() else {
                return Ok(Vec::new());
            };
            let endpoint = config.endpoint.iter();
            let held = endpoint.flat_map(|endpoint| secrets::valid(&endpoint.secrets, now));
            let vault = Vault::of_agent(&settings.keys, &self.name, &config.agent_id);
            let opened = held.map(|held| vault.open(&held.sealed));
            // Skip secrets whose master key is gone; fail only if none is left.
            let (secrets, faults): (Vec<_>, Vec<_>) = opened.partition(Result::is_ok);
            let fault = faults.into_iter().find_map(Result::err);
            let mut secrets: Vec<_> = secrets.into_iter().flatten().collect();
            // Setting a known secret again must not sign twice.
            secrets.dedup();
            match fault.filter(|_| secrets.is_empty()) {
                Some(fault) => Err(fault.into()),
                None => Ok(secrets),
            }
        })?
    }

    /// Ends the incarnation. Pending messages begin to fail at once, in batches.
    pub(in crate::mailbox) fn close(
        &self,
        agent_id: AgentId,
        owner: Owner,
        version: Version,
    ) -> Result<Answer, Refused> {
        self.create_once()?;
        self.flush()?;
        let writes = self.with(|core| core.close(agent_id, owner, version))??;
        self.put_in_force(writes)?;
        Ok(Answer::new(Effect::Changed, "{}"))
    }

    /// Sends `endpoint.test` and returns the outcome, but never the endpoint's answer. A
    /// successful test resets failures, and pending messages are pushed at once.
    pub(in crate::mailbox) async fn test_endpoint(&self) -> Result<Answer, Refused> {
        let (repo, agent) = self.address()?;
        let (url, version) = self.with(|core| {
            let config = core.current().ok_or(Refused::AgentNotFound)?;
            let endpoint = config.endpoint.as_ref().ok_or(Refused::NoEndpoint)?;
            Ok::<_, Refused>((endpoint.url.clone(), config.version))
        })??;
        let id = format!("test_{}", random::request_id());
        let tested = serde_json::to_string(&TestedAgent { repo, agent })?;
        let body = envelope(PushKind::EndpointTest, Timestamp(clock::now()), &tested);
        let secrets = self.secrets()?;
        let post = Post { url, id: id.clone(), body, secrets };
        let (outcome, ms) = delivery::post(&post, &self.settings()?.timing).await;
        let error = outcome.error().map(|class| class.to_string());
        if error.is_none() {
            self.write(|core| core.endpoint_works(version))?;
        }
        log::pushed(&self.name, &id, 1, error.as_deref().unwrap_or("delivered"), ms, 0);
        let (ok, status) = (error.is_none(), outcome.status());
        Answer::json(Effect::Changed, &EndpointTest { ok, status, duration_ms: ms, error })
    }
}
