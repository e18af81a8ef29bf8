//! Sending, reading and receipts.

use super::agents::incarnation;
use super::query;
use crate::{Call, Error, RepoClient};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, NewMessage, Report};
use multiclaude_hybrid_protocol::{AgentId, AgentName, MessageId};
use reqwest::Method;
use std::time::Duration;
use uuid::Uuid;

/// Which of an agent's messages are listed, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// With this status; any, if absent.
    pub status: Option<MessageStatus>,
    /// Younger than this one.
    pub after: Option<MessageId>,
    /// Of a page: 100 unless said, at most 500.
    pub limit: Option<u32>,
    /// How long an empty answer is held for a message to come, in whole
    /// seconds, at most 25.
    pub wait: Option<Duration>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Its entries, oldest first.
    pub items: Vec<T>,
    /// Are there more behind the last one?
    pub more: bool,
}

impl RepoClient {
    /// `POST …/messages`, under an idempotency key: the given one, which a
    /// caller keeps to send the same message again after a crash, or a random
    /// one, so that a repeat after a lost answer makes no second message.
    pub async fn send(&self, message: &NewMessage, key: Option<&str>) -> Result<Message, Error> {
        let random = key.is_none().then(|| Uuid::new_v4().to_string());
        let key = key.or(random.as_deref()).unwrap_or_default();
        let call = Call::new(Method::POST, "/messages").json(message).key(key);
        self.call(call).await?.json()
    }

    /// `GET …/agents/{name}/messages`: one page, oldest first. It changes
    /// nothing. [`RepoClient::inbox`] is what most programs want instead.
    ///
    /// ```no_run
    /// # async fn example(repo: multiclaude_hybrid_client::RepoClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use multiclaude_hybrid_client::MessageFilter;
    /// use multiclaude_hybrid_client::protocol::AgentName;
    /// use multiclaude_hybrid_client::protocol::message::MessageStatus;
    ///
    /// let pending = MessageFilter {
    ///     status: Some(MessageStatus::Pending),
    ///     wait: Some(std::time::Duration::from_secs(25)),
    ///     ..MessageFilter::default()
    /// };
    /// for message in repo.messages(&AgentName::parse("queue")?, &pending).await?.items {
    ///     println!("{}: {}", message.from, message.body);
    ///     repo.report(&message.id, MessageStatus::Acked, None).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn messages(
        &self,
        name: &AgentName,
        filter: &MessageFilter,
    ) -> Result<Page<Message>, Error> {
        self.messages_for(name, filter, None).await
    }

    /// The same, for the incarnation `agent` if one is given.
    pub(crate) async fn messages_for(
        &self,
        name: &AgentName,
        filter: &MessageFilter,
        agent: Option<&AgentId>,
    ) -> Result<Page<Message>, Error> {
        let wait = filter.wait.unwrap_or_default();
        let query = query(&[
            ("status", filter.status.map(|s| s.as_str().to_owned())),
            ("after", filter.after.as_ref().map(ToString::to_string)),
            ("limit", filter.limit.map(|limit| limit.to_string())),
            ("wait", filter.wait.map(|wait| wait.as_secs().to_string())),
        ]);
        let path = format!("/agents/{name}/messages?{query}");
        let call = Call::new(Method::GET, path).on_top(wait);
        let reply = self.call(incarnation(call, agent)).await?;
        Ok(Page { items: reply.json()?, more: reply.next_query().is_some() })
    }

    /// `GET …/messages/{id}`: the receipt, for sender and recipient.
    pub async fn receipt(&self, id: &MessageId) -> Result<Message, Error> {
        self.get(format!("/messages/{id}")).await
    }

    /// `PATCH …/messages/{id}`: a status, `delivered` or `acked`, or a
    /// [`Report`] that the agent itself has seen the message, for the
    /// incarnation `agent` if one is given.
    ///
    /// ```no_run
    /// # async fn example(repo: multiclaude_hybrid_client::RepoClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use multiclaude_hybrid_client::protocol::MessageId;
    /// use multiclaude_hybrid_client::protocol::message::{MessageStatus, Report};
    ///
    /// let id = MessageId::parse("msg_0193a1b2c3d47000800000010a2b3c4d_queue").ok_or("no id")?;
    /// repo.report(&id, Report::SEEN, None).await?;
    /// repo.report(&id, MessageStatus::Acked, None).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn report(
        &self,
        id: &MessageId,
        report: impl Into<Report>,
        agent: Option<&AgentId>,
    ) -> Result<Message, Error> {
        let report: Report = report.into();
        let call = Call::new(Method::PATCH, format!("/messages/{id}")).json(&report);
        self.call(incarnation(call, agent)).await?.json()
    }
}
