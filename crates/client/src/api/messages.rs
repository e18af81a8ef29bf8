//! Sending, reading and receipts.

use super::agents::incarnation;
use super::query;
use crate::{Call, Error, RepoClient};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, NewMessage, Report};
use multiclaude_hybrid_protocol::{AgentId, AgentName, MessageId};
use reqwest::Method;
use std::time::Duration;

/// Which of an agent's messages are listed, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Only messages with this status.
    pub status: Option<MessageStatus>,
    /// Only messages younger than this one.
    pub after: Option<MessageId>,
    /// Messages in a page: 100 unless set, at most 500.
    pub limit: Option<u32>,
    /// Only for this incarnation of the agent.
    pub agent: Option<AgentId>,
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
        let call = Call::new(Method::POST, "/messages").json(message).key(key);
        self.call(call).await?.json()
    }

    /// `GET …/agents/{name}/messages`: one page, oldest first. It changes
    /// nothing. Most programs use [`RepoClient::inbox`] instead.
    pub async fn messages(
        &self,
        name: &AgentName,
        filter: &MessageFilter,
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
        let reply = self.call(incarnation(call, filter.agent.as_ref())).await?;
        Ok(Page { items: reply.json()?, more: reply.next_query().is_some() })
    }

    /// The ids of all messages of a mailbox, or of those with this status: all its pages.
    pub async fn message_ids(
        &self,
        name: &AgentName,
        status: Option<MessageStatus>,
    ) -> Result<Vec<MessageId>, Error> {
        let mut ids = Vec::new();
        let mut filter = MessageFilter { status, limit: Some(500), ..MessageFilter::default() };
        loop {
            let page = self.messages(name, &filter).await?;
            let found = page.items.len();
            ids.extend(page.items.into_iter().map(|message| message.id));
            if !page.more || found == 0 {
                return Ok(ids);
            }
            filter.after = ids.last().cloned();
        }
    }

    /// `GET …/messages/{id}`: the receipt, for sender and recipient.
    pub async fn receipt(&self, id: &MessageId) -> Result<Message, Error> {
        self.get(format!("/messages/{id}")).await
    }

    /// `PATCH …/messages/{id}`: a status, `delivered` or `acked`, or a
    /// [`Report`] that the agent itself has seen the message, for the
    /// incarnation `agent` if one is given.
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
