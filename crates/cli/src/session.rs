//! From the command line to a client: the repo, the coordinator and the token.

mod hosts;
mod which;

use crate::failure::{Exit, Failure, Outcome, wrong_url};
use crate::home::Home;
use crate::multiclaude::{self, Place, State};
use crate::output::Output;
use crate::secrets;
use crate::settings::{Login, RepoSettings, Settings, covered};
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::config::HybridConfig;
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_client::{AgentFilter, BaseUrl, Client, RepoClient, URL_VARIABLE};
use std::sync::OnceLock;
use std::time::Duration;

/// The purpose of a command, which decides between several tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Look, send, read: as a person if possible.
    Use,
    /// Tokens and the shared configuration: with the widest token.
    Manage,
    /// Run workers for the team: as a service if possible.
    Serve,
}

impl Need {
    fn order(self) -> [TokenKind; 3] {
        match self {
            Self::Use => [TokenKind::User, TokenKind::Service, TokenKind::Admin],
            Self::Manage => [TokenKind::Admin, TokenKind::Service, TokenKind::User],
            Self::Serve => [TokenKind::Service, TokenKind::User, TokenKind::Admin],
        }
    }
}

/// One run of the program.
#[derive(Debug)]
pub struct Session {
    pub home: Home,
    pub settings: Settings,
    pub out: Output,
    pub timeout: Duration,
    /// How long a command may wait for something to happen, if the user limits that.
    pub limit: Option<Duration>,
    /// The only tokens that may be used: of this owner or kind, or with this id.
    pub only: Option<String>,
    /// The repo that the command is about and the token that it uses, once they are known.
    in_use: OnceLock<(Repo, Login)>,
    pub may_ask: bool,
}

/// A repo, and everything needed to talk about it.
#[derive(Debug)]
pub struct InRepo {
    pub repo: Repo,
    pub nickname: Option<String>,
    pub login: Login,
    pub client: RepoClient,
}

impl Session {
    /// Reads the settings of the user that runs this.
    pub fn open(out: Output, timeout: Duration) -> Outcome<Self> {
        let home = Home::of_user()?;
        let settings = Settings::load(&home)?;
        Ok(Self::new(home, settings, out, timeout))
    }

    /// A session for when the settings cannot be read: as if there were none.
    pub fn without_settings(out: Output) -> Outcome<Self> {
        Ok(Self::new(Home::of_user()?, Settings::default(), out, Duration::ZERO).unattended())
    }

    fn new(home: Home, settings: Settings, out: Output, timeout: Duration) -> Self {
        let in_use = OnceLock::new();
        Self { home, settings, out, timeout, limit: None, only: None, in_use, may_ask: true }
    }

    /// The same, which asks no person anything.
    #[must_use]
    pub fn unattended(self) -> Self {
        Self { may_ask: false, ..self }
    }

    /// Changes what this machine remembers, one process at a time.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Settings) -> T) -> Outcome<T> {
        let (result, settings) = Settings::change(&self.home, change)?;
        self.settings = settings;
        Ok(result)
    }

    pub fn state(&self) -> Outcome<State> {
        multiclaude::state(&self.home)
    }

    pub fn place(&self) -> Option<Place> {
        multiclaude::here(&self.home)
    }

    /// The URL of the coordinator of `repo`, from the environment or the settings; `None`: that of
    /// the login in use.
    pub fn coordinator_url(&self, repo: Option<&Repo>) -> Outcome<Option<String>> {
        match std::env::var(URL_VARIABLE) {
            Ok(text) if !text.is_empty() => {
                let allowed = self.settings.logins.iter().any(|login| login.allow_http);
                let base = BaseUrl::parse(&text, allowed).map_err(|error| {
                    wrong_url(&error, &format!("export {URL_VARIABLE}=")).about(URL_VARIABLE)
                })?;
                Ok(Some(base.to_string()))
            }
            _ => Ok(repo.and_then(|repo| self.settings.repo(repo).api_endpoint)),
        }
    }

    /// The tokens of this machine that may be used, the latest last.
    pub fn logins(&self) -> impl DoubleEndedIterator<Item = &Login> {
        let meant = |login: &&Login| self.only.as_ref().is_none_or(|only| login.is(only));
        self.settings.logins.iter().filter(meant)
    }

    /// The login for `repo` (or for anything), best for `need`.
    pub fn login(&self, repo: Option<&Repo>, need: Need) -> Outcome<&Login> {
        let url = self.coordinator_url(repo)?;
        let logins = || {
            self.logins().rev().filter(|login| {
                url.as_ref().is_none_or(|url| BaseUrl::is_same(url, &login.url))
                    && repo.is_none_or(|repo| login.covers(repo))
            })
        };
        let best =
            need.order().into_iter().find_map(|kind| logins().find(|login| login.kind == kind));
        best.ok_or_else(|| {
            let of = self.only.as_ref().map_or(String::new(), |only| format!(" of {only}"));
            let what = repo.map_or(String::new(), |repo| format!(" for {repo}"));
            let at = url.as_ref().map_or(String::new(), |url| format!(" at {url}"));
            let asked = url.as_deref().unwrap_or("URL");
            let failure = Failure::new(format!("this machine has no token{of}{what}{at}"))
                .exit(Exit::NotLoggedIn);
            match url.as_deref().and_then(|url| self.login_nearby(url, repo)) {
                Some(login) => Failure {
                    message: format!("{}, and has one at {}", failure.message, login.url),
                    ..failure
                }
                .hint(format!("if that is the coordinator: {}", go_to(&login.url, repo))),
                None => failure.hint(format!(
                    "get one from the coordinator's admin, then: multiclaude-hybrid login --url {asked}"
                )),
            }
        })
    }

    /// A login that would do, for another port or path of the host of `url`.
    fn login_nearby(&self, url: &str, repo: Option<&Repo>) -> Option<&Login> {
        let covers = |login: &&Login| repo.is_none_or(|repo| login.covers(repo));
        let mut logins = self.logins().rev().filter(covers);
        logins.find(|login| BaseUrl::is_same_host(url, &login.url))
    }

    pub fn client(&self, login: &Login) -> Outcome<Client> {
        let token = secrets::find(&self.home, &login.secret(), login.place)?;
        let token = token.ok_or_else(|| {
            let place = secrets::place_name(&self.home, login.place);
            Failure::new(format!("the token {} is no longer in {place}", login.token_id))
                .exit(Exit::NotLoggedIn)
                .hint(format!("log in again: multiclaude-hybrid login --url {}", login.url))
        })?;
        self.client_with(&login.url, login.allow_http, &token)
    }

    /// A client with any token.
    pub fn client_with(&self, url: &str, allow_http: bool, token: &str) -> Outcome<Client> {
        let base = BaseUrl::parse(url, allow_http)
            .map_err(|error| wrong_url(&error, "multiclaude-hybrid login --url "))?;
        Ok(Client::at(base, token)?.timeout(self.timeout))
    }

    /// The repo that `given` means, with a client for `need`.
    pub fn in_repo(&self, given: Option<&str>, need: Need) -> Outcome<InRepo> {
        let (repo, nickname) = self.resolve(given)?;
        let login = self.login(Some(&repo), need)?.clone();
        let _ = self.in_use.set((repo.clone(), login.clone()));
        let client = self.client(&login)?.repo(&repo);
        Ok(InRepo { repo, nickname, login, client })
    }

    /// The shared configuration, which is noted for when it cannot be fetched.
    pub async fn team_config(&self, repo: &Repo) -> Outcome<HybridConfig> {
        let at = self.in_repo(Some(repo.as_str()), Need::Use)?;
        let read = at.client.config().await;
        let config = read.map_err(|error| self.explain(error.into(), &at.login))?.value;
        self.remember(repo, &config);
        Ok(config)
    }

    /// Notes the shared configuration, for when it cannot be fetched.
    pub fn remember(&self, repo: &Repo, config: &HybridConfig) {
        let remote = remote_agents(config);
        let known = self.settings.repos.get(repo.as_str());
        if known.is_none_or(|known| known.remote_agents == remote) {
            return;
        }
        self.note_about(repo, |here| here.remote_agents = remote.to_vec());
    }

    /// Notes something about a repo of this machine. The command does not depend on it.
    fn note_about(&self, repo: &Repo, note: impl FnOnce(&mut RepoSettings)) {
        let noted = Settings::change(&self.home, |settings| {
            settings.repos.get_mut(repo.as_str()).map(note);
        });
        if let Err(failure) = noted {
            self.out.warn(&failure.one_line());
        }
    }

    /// The token that this machine takes part in `repo` with: no admin token,
    /// which reaches repos that are none of ours.
    pub fn part_in(&self, repo: &Repo) -> Option<&Login> {
        let login = self.login(Some(repo), Need::Use).ok()?;
        (login.kind != TokenKind::Admin).then_some(login)
    }

    /// A failure with the hints for the repo and the token in use.
    pub fn explained(&self, failure: Failure) -> Failure {
        match self.in_use.get() {
            Some((repo, login)) => self.explain(failure, login).in_repo(Some(repo)),
            None => failure.in_repo(None),
        }
    }

    /// Adds to a refusal what only this machine knows: where the token is, and
    /// how to get another.
    pub fn explain(&self, failure: Failure, login: &Login) -> Failure {
        let (place, url) = (secrets::place_name(&self.home, login.place), &login.url);
        match failure.exit {
            Exit::NotLoggedIn => failure.or_hint(|| {
                format!(
                    "the token {} in {place} was revoked or has expired: get a new one, then: \
                     multiclaude-hybrid login --url {url}",
                    login.token_id
                )
            }),
            Exit::Forbidden => {
                let scopes = covered(login.kind, &login.repos);
                failure.or_hint(|| {
                    format!(
                        "the {} token of {} covers {scopes}; `multiclaude-hybrid whoami --all` shows all. \
                         Log in with another one if you have it",
                        login.kind.as_str(),
                        login.owner
                    )
                })
            }
            _ => failure,
        }
    }
}

impl InRepo {
    /// The agents of the token's owner, on all machines.
    pub async fn agents_of_owner(&self) -> Outcome<Vec<Agent>> {
        let owner = Some(self.login.owner.clone());
        Ok(self.client.agents(&AgentFilter { owner, ..AgentFilter::default() }).await?)
    }
}

/// The command after which the coordinator at `url` is asked, where another one is now.
fn go_to(url: &str, repo: Option<&Repo>) -> String {
    match (std::env::var_os(URL_VARIABLE).filter(|text| !text.is_empty()), repo) {
        (None, Some(repo)) => format!("multiclaude-hybrid config {repo} --api-endpoint={url}"),
        _ => format!("export {URL_VARIABLE}={url}"),
    }
}

/// The types that run remotely: none while the team has hybrid mode off.
pub fn remote_agents(config: &HybridConfig) -> &[String] {
    if config.enabled { &config.remote_agents } else { &[] }
}
