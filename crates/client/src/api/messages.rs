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
    /// Only messages with this status.
    pub status: Option<MessageStatus>,
    /// Only messages younger than this one.
    pub after: Option<MessageId>,
    /// Messages in a page: 100 unless set, at most 500.
    pub limit: Option<u32>,
    /// How long the coordinator waits for a message before an empty answer, in whole
    /// seconds, at most 25.
    pub wait: Option<Duration>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Its entries, oldest first.
    pub items: Vec<T>,
    /// Are there more after the last one?
    pub more: bool,
}

impl RepoClient {
    /// `POST …/messages`, under an idempotency key, so that a repeat after a lost answer
    /// makes no second message. A caller that must not send twice after a crash gives a
    /// `key` and keeps it; otherwise the key is random.
    pub async fn send(&self, message: &NewMessage, key: Option<&str>) -> Result<Message, Error> {
        let random = key.is_none().then(|| Uuid::new_v4().to_string());
        let key = key.or(random.as_deref()).unwrap_or_default();
        let call = Call::new(Method::POST, "/messages").json(message).key(key);
        self.call(call).await?.json()
    }

    /// `GET …/agents/{name}/messages`: one page, oldest first. It changes
    /// nothing. Most programs use [`RepoClient::inbox`] instead.
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

    /// As [`RepoClient::messages`], for the incarnation `agent` if one is given.
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
        let call = Call::new(Method::GET, path).extra_time(wait);
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
