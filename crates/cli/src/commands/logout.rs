//! `logout`: tokens leave this machine.

use crate::failure::{Exit, Failure, Outcome, wrong_url};
use crate::ids;
use crate::output::counted;
use crate::secrets;
use crate::session::Session;
use crate::settings::{Login, Settings};
use clap::Args;
use multiclaude_hybrid_client::BaseUrl;

/// Forget tokens of this machine; they stay valid.
///
/// Without arguments it forgets the only token that this machine has.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Only this one: its id or the beginning of it, or its owner or kind
    token: Option<String>,
    /// Only those for this coordinator
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// All of them, and the leftovers of an interrupted login
    #[arg(long, conflicts_with = "url")]
    all: bool,
}

impl LogoutArgs {
    /// Runs it; goes on if a token cannot be forgotten.
    pub fn run(&self, session: &Session) -> Outcome {
        let chosen = self.chosen(session)?;
        let (mut forgotten, mut failures) = (Vec::new(), Vec::new());
        for login in chosen {
            match secrets::forget(&session.home, &login.secret(), login.place) {
                Ok(()) => forgotten.push(login),
                Err(failure) => failures.push(failure),
            }
        }
        if !forgotten.is_empty() {
            let changed = Settings::change(&session.home, |settings| {
                settings.logins.retain(|login| !forgotten.contains(login));
            });
            failures.extend(changed.err());
        }
        let everything = self.all && self.token.is_none() && session.only.is_none();
        let (leftovers, more) =
            if everything { secrets::forget_leftovers(&session.home) } else { (0, Vec::new()) };
        failures.extend(more);
        if forgotten.is_empty() && leftovers == 0 && failures.is_empty() {
            return Err(Failure::new("this machine has no token to forget").exit(Exit::NotLoggedIn));
        }
        session.out.show(&forgotten, || text(&forgotten, leftovers))?;
        let mut failures = failures.into_iter();
        let first = failures.next();
        failures.for_each(|failure| session.out.fail(&failure));
        first.map_or(Ok(()), Err)
    }

    fn chosen(&self, session: &Session) -> Outcome<Vec<Login>> {
        let url = self.url.as_ref().map(|url| BaseUrl::parse(url, true)).transpose();
        let url = url.map_err(|error| wrong_url(&error, "multiclaude-hybrid logout --url "))?;
        let logins = &session.settings.logins;
        let token = self.token.as_ref().map(|which| ids::of_login(which, logins)).transpose()?;
        let chosen: Vec<Login> = session
            .logins()
            .filter(|login| {
                url.as_ref().is_none_or(|url| BaseUrl::is_same(url.as_str(), &login.url))
            })
            .filter(|login| token.as_ref().is_none_or(|which| login.is(which)))
            .cloned()
            .collect();
        if chosen.len() < 2 || url.is_some() || self.all {
            return Ok(chosen);
        }
        let describe = |login: &Login| {
            let (id, kind) = (&login.token_id, login.kind.as_str());
            format!("{id} ({kind} of {}, {})", login.owner, login.url)
        };
        let tokens: Vec<_> = chosen.iter().map(describe).collect();
        let message = format!("this machine has {} tokens: {}", chosen.len(), tokens.join(", "));
        Err(Failure::usage(message).hint("choose: the id, --url URL, or --all"))
    }
}

pub(super) fn forgot(login: &Login) -> String {
    format!("Forgot the token {} of {} at {}", login.token_id, login.owner, login.url)
}

/// A note on forgotten tokens, which stay valid.
pub(super) fn still_valid(forgotten: &[&Login]) -> String {
    match forgotten {
        [only] => format!(
            "It stays valid until an admin revokes it: multiclaude-hybrid tokens revoke {}",
            only.token_id
        ),
        _ => "They stay valid until an admin revokes each: multiclaude-hybrid tokens revoke ID"
            .to_owned(),
    }
}

fn text(forgotten: &[Login], leftovers: usize) -> String {
    let mut lines: Vec<String> =
        forgotten.iter().map(|login| format!("{}.", forgot(login))).collect();
    if !forgotten.is_empty() {
        lines.push(still_valid(&forgotten.iter().collect::<Vec<_>>()));
    }
    if leftovers > 0 {
        lines.push(format!("Forgot {} that nothing referred to.", counted(leftovers, "secret")));
    }
    lines.join("\n")
}
