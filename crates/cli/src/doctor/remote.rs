//! The coordinator, the tokens, and the repos.

use super::check::{Cause, Check};
use crate::failure::{Exit, Failure, check_of};
use crate::output::{counted, now};
use crate::session::{InRepo, Need, Session, remote_agents};
use crate::settings::{Login, covered};
use crate::types::{MERGE_QUEUE, serving_merge_queue};
use futures_util::future::join_all;
use multiclaude_hybrid_bridge::names::holder_of_label;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::agent::{Agent, AgentStatus};
use multiclaude_hybrid_client::protocol::health::Health;
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_client::{AgentFilter, BaseUrl, Client, Error};

/// A clock that is this far off breaks signatures soon.
const SKEW_WARNING_MS: i64 = 30_000;
/// Webhooks are refused when clocks differ by more than five minutes.
const SKEW_FAULT_MS: i64 = 240_000;

/// Looks at every coordinator that there is a token for; with the URLs of those
/// that do not answer.
pub(super) async fn coordinators(session: &Session) -> (Vec<Check>, Vec<String>) {
    let logins: Vec<&Login> = session.logins().collect();
    // All at once, so that one that hangs holds up no other.
    let found = join_all(logins.iter().map(|&login| async move {
        let what = format!("coordinator {}", login.url);
        match session.client(login) {
            Err(failure) => Ok(vec![Check::failed(&what, failure)]),
            Ok(client) => coordinator(session, login, &client, &what).await,
        }
    }));
    let (mut checks, mut away) = (Vec::new(), Vec::new());
    for (login, found) in logins.iter().zip(found.await) {
        match found {
            Ok(found) => checks.extend(found),
            // Once is enough, however many tokens are for it.
            Err(_) if is_among(&away, &login.url) => {}
            Err(check) => {
                away.push(login.url.clone());
                checks.push(check);
            }
        }
    }
    (checks, away)
}

fn is_among(urls: &[String], url: &str) -> bool {
    urls.iter().any(|other| BaseUrl::is_same(other, url))
}

/// How it is, and the token; an error if it does not answer.
async fn coordinator(
    session: &Session,
    login: &Login,
    client: &Client,
    what: &str,
) -> Result<Vec<Check>, Check> {
    let asked = now().0;
    let health = match client.health().await {
        Ok(health) => health,
        Err(error) => {
            let cause = match &error {
                Error::Unreachable { cause, base, .. } => Some(check_of(*cause, base)),
                _ => None,
            };
            let check = Check::failed(what, error.into());
            return Err(match cause {
                Some(hint) => check.hint(hint),
                None => check,
            });
        }
    };
    let answered = now().0;
    let mut checks = vec![if health.status == "ok" {
        Check::good(what, format!("version {}, answers in {} ms", health.version, answered - asked))
    } else {
        Check::fault(what, format!("it is {}: its database is {}", health.status, health.d1))
            .hint("its admin: look at its log, and at Cloudflare's status page for D1")
    }];
    if login.url.starts_with("http://") && !client.base().is_loopback() {
        checks.push(
            Check::warning(what, "plain http: the token can be read on the way")
                .hint("serve it by https, and log in again"),
        );
    }
    checks.extend(clock(&health, asked, answered));
    checks.push(token(session, login, client).await);
    Ok(checks)
}

fn clock(health: &Health, asked: i64, answered: i64) -> Option<Check> {
    let there = health.time?.0;
    // Its clock was read at some moment in between.
    let off = if there < asked { there - asked } else { (there - answered).max(0) };
    let (what, seconds) = ("clock", off.abs() / 1000);
    let word = if off < 0 { "ahead of" } else { "behind" };
    let found = format!("{seconds} s {word} the coordinator's");
    let hint = "set it: timedatectl set-ntp true";
    Some(match off.abs() {
        SKEW_FAULT_MS.. => Check::fault(what, found).hint(hint),
        SKEW_WARNING_MS.. => Check::warning(what, found).hint(hint),
        _ => Check::good(what, "as the coordinator's"),
    })
}

async fn token(session: &Session, login: &Login, client: &Client) -> Check {
    let what = format!("token {}", login.token_id);
    match client.whoami().await {
        Err(error) => of_token(&what, session.explain(error.into(), login), login),
        Ok(who) => {
            let covers = covered(who.kind, &who.repos);
            let week = 7 * 86_400_000;
            match who.expires_at {
                Some(end) if end.0 - now().0 < week => Check::warning(
                    &what,
                    format!("it expires within {} days", (end.0 - now().0) / 86_400_000 + 1),
                )
                .hint("get a new one from the coordinator's admin"),
                _ => Check::good(
                    &what,
                    format!("{} ({}) for {covers}", who.owner, who.kind.as_str()),
                ),
            }
        }
    }
}

/// A failure that is the token's, if the coordinator does not take it.
fn of_token(what: &str, failure: Failure, login: &Login) -> Check {
    let refused = failure.exit == Exit::NotLoggedIn;
    let check = Check::failed(what, failure);
    if refused { check.because(Cause::Token(login.token_id.clone())) } else { check }
}

/// Looks at every repo that is hybrid here, or at the one, less those whose
/// coordinator is `away`.
pub(super) async fn repos(session: &Session, only: Option<&Repo>, away: &[String]) -> Vec<Check> {
    let known = session.settings.repos.iter();
    let mut meant: Vec<Repo> = known
        .filter(|(_, here)| here.enabled)
        .filter_map(|(name, _)| Repo::parse(name).ok())
        .filter(|repo| only.is_none_or(|only| only == repo))
        .collect();
    if meant.is_empty() {
        meant.extend(only.cloned());
    }
    if meant.is_empty() {
        let check = Check::warning("repos", "hybrid mode is on for none");
        return vec![
            check.hint("multiclaude-hybrid config owner/repo --hybrid=true --api-endpoint=URL"),
        ];
    }
    let found = meant.iter().map(|repo| async move {
        let what = format!("repo {repo}");
        match session.in_repo(Some(repo.as_str()), Need::Use) {
            Err(failure) => {
                let check = Check::failed(&what, failure);
                let is_first = session.settings.logins.is_empty();
                vec![if is_first { check.because(Cause::NoLogin) } else { check }]
            }
            // The coordinator's own check reports it.
            Ok(at) if is_among(away, &at.login.url) => Vec::new(),
            Ok(at) => match in_repo(session, &at, &what).await {
                Ok(found) => found,
                Err(failure) => {
                    vec![of_token(&what, session.explain(failure, &at.login), &at.login)]
                }
            },
        }
    });
    join_all(found).await.concat()
}

async fn in_repo(session: &Session, at: &InRepo, what: &str) -> Result<Vec<Check>, Failure> {
    let config = at.client.config().await?.value;
    let agents = at.client.agents(&AgentFilter::default()).await?;
    let mut checks =
        vec![Check::good(what, format!("{} on all machines", counted(agents.len(), "agent")))];
    let node = session.settings.node();
    if let Some(twin) = holder_of_label(&agents, &node, &session.settings.instance) {
        checks.push(
            Check::fault(
                what,
                format!("another machine is called {node}, too: it has {}", twin.name),
            )
            .hint(format!(
                "give this one another label: multiclaude-hybrid config {} --node=LABEL",
                at.repo
            )),
        );
    }
    checks.extend(two_queues(session, at, &agents, what)?);
    for kind in remote_agents(&config) {
        let serves = |agent: &&Agent| agent.r#type == *kind && agent.status != AgentStatus::Stopped;
        if kind != "worker" && !agents.iter().any(|agent| serves(&agent)) {
            checks.push(
                Check::warning(
                    what,
                    format!("{kind} is to run remotely, and no running agent serves it"),
                )
                .hint(unserved(at, kind, remote_agents(&config))),
            );
        }
    }
    let mine = |agent: &&Agent| agent.owner == at.login.owner && !agent.endpoint.is_empty();
    for agent in agents.iter().filter(mine) {
        checks.push(endpoint(at, agent).await?);
    }
    Ok(checks)
}

/// A hint for a role that the team expects and no machine serves. To change the expectation
/// takes a token that this user may not have.
fn unserved(at: &InRepo, kind: &str, remote: &[String]) -> String {
    let repo = &at.repo;
    let serve = format!(
        "on the machine that should serve it: multiclaude-hybrid host {repo} --serve {kind}"
    );
    if at.login.kind == TokenKind::User {
        return serve;
    }
    let others: Vec<_> = remote.iter().map(String::as_str).filter(|other| *other != kind).collect();
    let others = others.join(",");
    format!(
        "{serve}; or to serve it on no machine: multiclaude-hybrid config {repo} --remote-agents={others}"
    )
}

/// A merge-queue here and another elsewhere merge the same pull requests.
fn two_queues(
    session: &Session,
    at: &InRepo,
    agents: &[Agent],
    what: &str,
) -> Result<Option<Check>, Failure> {
    let state = session.state()?;
    // However many clones there are.
    let mut clones = state.repos.iter().filter(|(name, local)| {
        local.agents.values().any(|agent| agent.r#type == MERGE_QUEUE)
            && session.nicknamed(name, &state).ok().as_ref() == Some(&at.repo)
    });
    let Some((name, _)) = clones.next() else {
        return Ok(None);
    };
    // One without an instance may be this machine's, registered by hand.
    let elsewhere = |agent: &Agent| match &agent.instance {
        Some(_) => !session.settings.has_registered(agent),
        None => agent.owner != at.login.owner,
    };
    let other = serving_merge_queue(agents).filter(|agent| elsewhere(agent));
    Ok(other.map(|other| {
        let owner = &other.owner;
        Check::fault(
            what,
            format!("a {MERGE_QUEUE} runs here, and {owner} serves one for all: both merge"),
        )
        .hint(format!(
            "to end the one here: multiclaude-hybrid stand-down {MERGE_QUEUE} --repo {name}"
        ))
    }))
}

async fn endpoint(at: &InRepo, agent: &Agent) -> Result<Check, Failure> {
    let what = format!("endpoint of {}", agent.name);
    let test = at.client.test_endpoint(&agent.name).await?;
    if test.ok {
        return Ok(Check::good(&what, format!("it answers in {} ms", test.duration_ms)));
    }
    let error = test.error.unwrap_or_default();
    let status = test.status.map_or(String::new(), |status| format!(" ({status})"));
    Ok(Check::fault(&what, format!("the coordinator cannot push to it: {error}{status}")).hint(
        "is its process running, and is its URL reachable from the internet? Until then \
         messages stay pending and can be polled",
    ))
}
