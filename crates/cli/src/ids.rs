//! Ids as people type them: whole, or only as much of the beginning as is unique.

use crate::failure::{Exit, Failure, Outcome};
use crate::settings::Login;
use multiclaude_hybrid_client::protocol::{MessageId, SpawnId, TokenId};
use std::fmt::Display;
use std::str::FromStr;

/// Fewer hex digits are a slip rather than an id.
const DIGITS_MIN: usize = 4;
const DIGITS: usize = 32;
const LISTED_MAX: usize = 10;

pub trait Id: Clone + PartialEq + Display {
    const PREFIX: &'static str;
    const NOUN: &'static str;
    /// The commands that show such ids.
    const SHOWN_BY: &'static str;
    fn whole(text: &str) -> Option<Self>;
}

macro_rules! ids {
    ($($id:ty: $prefix:literal, $what:literal, $shown_by:literal;)*) => {$(
        impl Id for $id {
            const PREFIX: &'static str = $prefix;
            const NOUN: &'static str = $what;
            const SHOWN_BY: &'static str = $shown_by;
            fn whole(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }
    )*};
}

ids! {
    SpawnId: "spn_", "request", "`workers` shows it";
    MessageId: "msg_", "message", "`send` and `inbox` show it";
    TokenId: "tok_", "token", "`tokens` shows it";
}

/// An id as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// A whole id: nothing has to be asked.
    Whole(T),
    /// The beginning of one: hex digits, without the prefix.
    Beginning(String),
}

/// An id, or the beginning of one, with or without its prefix.
impl<T: Id> FromStr for Given<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(T::PREFIX).unwrap_or(text);
        if let Some(id) = T::whole(&format!("{}{rest}", T::PREFIX)) {
            return Ok(Self::Whole(id));
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if (DIGITS_MIN..=DIGITS).contains(&rest.len()) && rest.bytes().all(is_digit) {
            return Ok(Self::Beginning(rest.to_owned()));
        }
        Err(format!(
            "is not the id of a {}; it looks like {}0192…, of which the first {DIGITS_MIN} or more hex \
             digits are enough, and {}",
            T::NOUN,
            T::PREFIX,
            T::SHOWN_BY
        ))
    }
}

/// The only one of `candidates` that begins with these hex digits.
pub fn resolve<T: Id>(digits: &str, candidates: &[T]) -> Outcome<T> {
    let start = format!("{}{digits}", T::PREFIX);
    let mut found: Vec<&T> = Vec::new();
    for candidate in candidates.iter().filter(|id| id.to_string().starts_with(&start)) {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(format!("no {}'s id begins with {start}", T::NOUN))
            .exit(Exit::NotFound)
            .hint(format!("give the whole id: {}", T::SHOWN_BY))),
        several => Err(Failure::usage(format!(
            "{start} is the beginning of {} {}s' ids: {}",
            several.len(),
            T::NOUN,
            listed(several)
        ))
        .hint("give more of the id that you mean")),
    }
}

fn listed<T: Id>(ids: &[&T]) -> String {
    let mut texts: Vec<_> = ids.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    if ids.len() > LISTED_MAX {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

impl<T: Id> Given<T> {
    /// The whole id; `candidates` are fetched only for a beginning.
    pub async fn find(&self, candidates: impl AsyncFnOnce() -> Outcome<Vec<T>>) -> Outcome<T> {
        match self {
            Self::Whole(id) => Ok(id.clone()),
            Self::Beginning(digits) => resolve(digits, &candidates().await?),
        }
    }
}

/// The whole ids, each once; `candidates` are fetched once at most.
pub async fn find_all<T: Id>(
    given: &[Given<T>],
    candidates: impl AsyncFnOnce() -> Outcome<Vec<T>>,
) -> Outcome<Vec<T>> {
    let is_whole = |given: &Given<T>| matches!(given, Given::Whole(_));
    let candidates = if given.iter().all(is_whole) { Vec::new() } else { candidates().await? };
    let mut ids: Vec<T> = Vec::new();
    for one in given {
        let id = match one {
            Given::Whole(id) => id.clone(),
            Given::Beginning(digits) => resolve(digits, &candidates)?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// A login's owner, kind or id as it was typed, with the beginning of an id made whole.
pub fn of_login(which: &str, logins: &[Login]) -> Outcome<String> {
    if logins.iter().any(|login| login.is(which)) {
        return Ok(which.to_owned());
    }
    let ids: Vec<_> = logins.iter().filter_map(|login| TokenId::parse(&login.token_id)).collect();
    let found = match which.parse::<Given<TokenId>>() {
        Ok(Given::Whole(id)) => return Ok(id.to_string()),
        Ok(Given::Beginning(digits)) => resolve(&digits, &ids),
        Err(_) => return Ok(which.to_owned()),
    };
    match found {
        // It may be an owner that has no login.
        Err(failure) if failure.exit == Exit::NotFound => Ok(which.to_owned()),
        found => found.map(|id| id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = "0193a1b2c3d47000800000010a2b3c4d";
    const TWO: &str = "0193a1b2c3d57000800000010a2b3c4d";

    fn spawn(hex: &str) -> SpawnId {
        SpawnId::parse(&format!("spn_{hex}")).unwrap()
    }

    #[test]
    fn an_id_is_whole_the_beginning_of_one_or_none() {
        let whole = Ok(Given::Whole(spawn(ONE)));
        assert_eq!(format!("spn_{ONE}").parse(), whole);
        assert_eq!(ONE.parse(), whole);
        for text in ["spn_0193", "0193"] {
            assert_eq!(text.parse(), Ok(Given::<SpawnId>::Beginning("0193".to_owned())), "{text}");
        }
        let message = MessageId::parse(&format!("msg_{ONE}_a_b")).unwrap();
        for text in [format!("msg_{ONE}_a_b"), format!("{ONE}_a_b")] {
            assert_eq!(text.parse(), Ok(Given::Whole(message.clone())), "{text}");
        }
        for text in [format!("msg_{ONE}"), ONE.to_owned()] {
            assert_eq!(text.parse(), Ok(Given::<MessageId>::Beginning(ONE.to_owned())), "{text}");
        }
        let long = format!("{ONE}0");
        for bad in [
            "",
            "spn_",
            "019",
            "spn_019",
            "0193G",
            "msg_0193a",
            "tok_0193a",
            "0193A1",
            "-0193",
            "0193 ",
            "spn_spn_0193",
            &long,
        ] {
            assert!(bad.parse::<Given<SpawnId>>().is_err(), "{bad}");
        }
        for bad in ["msg_0193_desk", "0193_desk", &format!("{ONE}_")] {
            assert!(bad.parse::<Given<MessageId>>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_beginning_of_several_ids_lists_them_and_one_of_none_is_not_found() {
        let ids = [spawn(ONE), spawn(TWO)];
        assert_eq!(resolve("0193a1b2c3d4", &ids).unwrap(), ids[0]);
        let several = resolve("0193a1b2", &ids).unwrap_err();
        assert_eq!(several.exit, Exit::Usage);
        let message = several.message;
        assert!(message.contains(ONE) && message.contains(TWO), "{message}");
        assert_eq!(resolve("ffff", &ids).unwrap_err().exit, Exit::NotFound);
        // A message of two mailboxes is two messages.
        let of = |name: &str| MessageId::parse(&format!("msg_{ONE}_{name}")).unwrap();
        assert!(resolve(ONE, &[of("a"), of("b")]).is_err());
    }

    proptest! {
        #[test]
        fn a_beginning_means_an_id_exactly_if_no_other_has_it(
            seeds in prop::collection::vec((0..3_i64, any::<[u8; 10]>()), 1..20),
            chosen in any::<prop::sample::Index>(),
            length in DIGITS_MIN..=DIGITS,
            with_prefix in any::<bool>(),
        ) {
            use multiclaude_hybrid_client::protocol::Timestamp;
            let ids: Vec<_> = seeds
                .into_iter()
                .map(|(hour, random)| SpawnId::new(Timestamp(hour * 3_600_000), random))
                .collect();
            let chosen_id = chosen.get(&ids);
            let text = chosen_id.to_string()[..SpawnId::PREFIX.len() + length].to_owned();
            let typed = if with_prefix { text.clone() } else { text[SpawnId::PREFIX.len()..].to_owned() };
            let is_unique = ids.iter().all(|id| id == chosen_id || !id.to_string().starts_with(&text));
            let found = match typed.parse::<Given<SpawnId>>().unwrap() {
                Given::Whole(id) => Ok(id),
                Given::Beginning(digits) => resolve(&digits, &ids),
            };
            match found {
                Ok(id) => { prop_assert!(is_unique); prop_assert_eq!(&id, chosen_id); }
                Err(_) => prop_assert!(!is_unique),
            }
        }

        #[test]
        fn no_text_is_misread(text in "(spn_|msg_|tok_)?[0-9a-fA-F_x]{0,40}") {
            if let Ok(Given::Beginning(digits)) = text.parse::<Given<TokenId>>() {
                prop_assert!(text.ends_with(&digits) && digits.len() >= DIGITS_MIN);
            }
        }
    }
}
