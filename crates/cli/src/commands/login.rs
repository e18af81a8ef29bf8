//! `login`: the tokens of this machine.

use super::logout::{forgot, still_valid};
use crate::failure::{Exit, Failure, Outcome, wrong_url};
use crate::secrets;
use crate::session::Session;
use crate::settings::{Login, SecretStore, Settings, covered};
use clap::Args;
use futures_util::future::join_all;
use multiclaude_hybrid_client::protocol::TokenId;
use multiclaude_hybrid_client::protocol::token::{Scope, SecretToken, WhoAmI};
use multiclaude_hybrid_client::{BaseUrl, DEFAULT_URL};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Read, stdin};

/// The id of the admin token that a coordinator is set up with.
const ROOT: &str = "tok_admin";
/// Bytes of standard input that a token is looked for in.
const INPUT_MAX: u64 = 64 * 1024;

/// Verify and save a token for a coordinator.
///
/// It takes a user token (mcu_…, a person's), a service token (mcs_…, for CI and
/// runners) or an admin token (mca_…, which manages tokens).
/// The token is asked for without showing it, or read from standard input:
/// `multiclaude-hybrid login --url URL < file`. It is saved in the system's
/// keychain, or in ~/.multiclaude/credentials where there is none.
#[derive(Debug, Args)]
pub struct LoginArgs {
    #[arg(
        long,
        visible_alias = "api-endpoint",
        value_name = "URL",
        help = "The coordinator [default: MULTICLAUDE_API_URL, else the only one that this machine knows, else \
                https://api.multiclaude.dev/v1]"
    )]
    url: Option<String>,
    /// Allow plain http to another machine; the token can be read on the way
    #[arg(long)]
    allow_http: bool,
    /// Keep the token in the file even where there is a keychain
    #[arg(long)]
    no_keychain: bool,
}

/// A line from standard input, or typed without showing it.
pub fn ask_secret(prompt: &str) -> Outcome<String> {
    let text = if stdin().is_terminal() {
        rpassword::prompt_password(prompt)
            .map_err(|error| Failure::new(format!("cannot read from the terminal: {error}")))?
    } else {
        let mut text = String::new();
        stdin()
            .take(INPUT_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        text
    };
    Ok(text.trim().to_owned())
}

/// Checks a token with its coordinator and keeps it.
pub async fn keep(
    session: &mut Session,
    base: &BaseUrl,
    allow_http: bool,
    keychain: bool,
    token: &str,
) -> Outcome<(Login, WhoAmI)> {
    let who = verify(session, base, allow_http, token).await?;
    let login = Login {
        url: base.to_string(),
        token_id: who.token_id.clone(),
        kind: who.kind,
        owner: who.owner.clone(),
        repos: who.repos.clone(),
        place: SecretStore::File,
        allow_http,
    };
    if session.only.as_ref().is_some_and(|only| !login.is(only)) {
        let message = format!("that is a token of {}, and --as asks for another", describe(&who));
        return Err(Failure::usage(message).hint("leave out --as, or paste the other token"));
    }
    let dead = no_longer_valid(session, &login).await;
    let change = |settings: &mut Settings, place| {
        let login = Login { place, ..login.clone() };
        let (old, kept) = settings.logins.drain(..).partition(|other| {
            let same = other.secret() == login.secret();
            same || replaces(&login, other) || dead.contains(other)
        });
        settings.logins = kept;
        settings.logins.push(login.clone());
        (login, old)
    };
    let ((login, replaced), settings): ((_, Vec<Login>), _) =
        secrets::keep(&session.home, &login.secret(), token, keychain, change)?;
    session.settings = settings;
    forget_replaced(session, &login, &replaced, &dead);
    Ok((login, who))
}

/// Asks the coordinator whose token this is.
async fn verify(
    session: &Session,
    base: &BaseUrl,
    allow_http: bool,
    token: &str,
) -> Outcome<WhoAmI> {
    if SecretToken::parse(token).is_none() {
        let message = if token.is_empty() {
            "no token was given"
        } else {
            "that is not a token: its checksum does not match; a character may be missing or wrong"
        };
        return Err(Failure::usage(message)
            .hint("paste the whole of it: mcu_, mcs_ or mca_ and 49 characters"));
    }
    let client = session.client_with(base.as_str(), allow_http, token)?;
    let who = client.whoami().await.map_err(|error| {
        let failure = Failure::from(error);
        match failure.exit {
            Exit::NotLoggedIn => failure.or_hint(|| {
                format!("{base} does not know this token (any more): get a new one for it")
            }),
            Exit::NotFound => failure.or_hint(|| {
                format!("is {base} really the URL of a coordinator? It usually ends with /v1")
            }),
            _ => failure,
        }
    })?;
    if TokenId::parse(&who.token_id).is_none() && who.token_id != ROOT {
        return Err(Failure::new(format!("{base} is not a coordinator: a token has no such id"))
            .exit(Exit::Unreachable));
    }
    Ok(who)
}

/// Forgets the secrets of logins that a new one replaces, and says so.
fn forget_replaced(session: &Session, login: &Login, replaced: &[Login], dead: &[Login]) {
    for old in replaced {
        if dead.contains(old) {
            let (id, owner) = (&old.token_id, &old.owner);
            session
                .out
                .note(&format!("Forgot the token {id} of {owner}, which is no longer valid."));
        } else if old.token_id != login.token_id {
            let why = "the new one reaches at least as far";
            session.out.note(&format!("{} ({why}). {}", forgot(old), still_valid(&[old])));
        }
        if (old.secret(), old.place) != (login.secret(), login.place)
            && let Err(failure) = secrets::forget(&session.home, &old.secret(), old.place)
        {
            session.out.warn(&format!(
                "the token {} is no longer used, and could not be removed from {}: {}",
                old.token_id,
                secrets::place_name(&session.home, old.place),
                failure.message
            ));
        }
    }
}

/// The other tokens for the coordinator of `new` that are no longer valid.
async fn no_longer_valid(session: &Session, new: &Login) -> Vec<Login> {
    let others = session.settings.logins.iter();
    let others = others
        .filter(|other| BaseUrl::is_same(&other.url, &new.url) && other.token_id != new.token_id);
    let checked = join_all(others.map(|other| async move {
        let is_invalid = match session.client(other) {
            Ok(client) => client.whoami().await.is_err_and(|error| error.status() == Some(401)),
            // Its secret part is gone.
            Err(failure) => failure.exit == Exit::NotLoggedIn,
        };
        is_invalid.then(|| other.clone())
    }));
    checked.await.into_iter().flatten().collect()
}

/// Does a new login make an older one useless? It does if it is the same
/// principal's and reaches at least as far.
fn replaces(new: &Login, old: &Login) -> bool {
    let reaches = |scope: &Scope| match scope {
        Scope::Repo(repo) => new.covers(repo),
        Scope::Account(_) => new.repos.contains(scope),
    };
    BaseUrl::is_same(&new.url, &old.url)
        && new.kind == old.kind
        && new.owner == old.owner
        && old.repos.iter().all(reaches)
}

/// The coordinator that a login without `--url` means: a token that was made for
/// one must not be shown to another.
fn usual(session: &Session) -> Outcome<String> {
    if let Some(url) = session.coordinator_url(None)? {
        return Ok(url);
    }
    let settings = &session.settings;
    let repos = settings.repos.values();
    let configured = repos.filter_map(|repo| repo.api_endpoint.clone());
    let logins = settings.logins.iter().map(|login| login.url.clone());
    let known: BTreeSet<String> = logins.chain(configured).collect();
    let mut several: Vec<String> = Vec::new();
    for url in known {
        if !several.iter().any(|other| BaseUrl::is_same(other, &url)) {
            several.push(url);
        }
    }
    match several.as_slice() {
        [] => Ok(DEFAULT_URL.to_owned()),
        [only] => Ok(only.clone()),
        several => Err(Failure::usage(format!(
            "this machine knows several coordinators: {}",
            several.join(", ")
        ))
        .hint("choose the one that the token is for: --url URL")),
    }
}

/// Owner, kind, repos and end of a token, for people.
pub(super) fn describe(who: &WhoAmI) -> String {
    let covers = covered(who.kind, &who.repos);
    let end = who.expires_at.map_or(String::new(), |at| format!(", until {at}"));
    format!("{} ({}) for {covers}{end}", who.owner, who.kind.as_str())
}

impl LoginArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let wanted = match &self.url {
            Some(url) => url.clone(),
            None => usual(session)?,
        };
        let base = BaseUrl::parse(&wanted, self.allow_http)
            .map_err(|error| wrong_url(&error, "multiclaude-hybrid login --url "))?;
        let token = ask_secret(&format!("Token for {base}: "))?;
        let (login, who) = keep(session, &base, self.allow_http, !self.no_keychain, &token).await?;
        let place = secrets::place_name(&session.home, login.place);
        session.out.show(&login, || {
            format!("Logged in to {base} as {}.\nThe token is in {place}.", describe(&who))
        })
    }
}
