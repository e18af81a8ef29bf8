//! The webhook secrets of an endpoint, sealed, and how they are rotated.

use crate::Ms;
use serde::{Deserialize, Serialize};

/// A sealed webhook secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSecret {
    /// As `seal` made it.
    pub sealed: String,
    /// Until when it signs, once it is replaced.
    pub until: Option<Ms>,
}

/// The secrets that sign at `now`, in their order: the newest first.
pub fn valid(secrets: &[HeldSecret], now: Ms) -> impl Iterator<Item = &HeldSecret> {
    secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
}

/// Drops the secrets that no longer sign. A new one, if given, becomes the first; the
/// replaced ones sign for `overlap` longer, and at most `old_max` of them are kept.
pub fn rotate(
    secrets: &mut Vec<HeldSecret>,
    new: Option<String>,
    now: Ms,
    overlap: Ms,
    old_max: usize,
) {
    secrets.retain(|held| held.until.is_none_or(|until| now < until));
    let Some(sealed) = new else { return };
    let until = now + overlap;
    for held in secrets.iter_mut() {
        held.until = Some(held.until.map_or(until, |known| known.min(until)));
    }
    secrets.insert(0, HeldSecret { sealed, until: None });
    secrets.truncate(old_max + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(secrets: &[HeldSecret], now: Ms) -> Vec<&str> {
        valid(secrets, now).map(|held| held.sealed.as_str()).collect()
    }

    #[test]
    fn a_replaced_secret_signs_until_the_overlap_ends_and_no_rotation_prolongs_it() {
        let mut secrets = Vec::new();
        rotate(&mut secrets, Some("first".into()), 0, 100, 3);
        rotate(&mut secrets, Some("second".into()), 10, 100, 3);
        rotate(&mut secrets, Some("third".into()), 50, 100, 3);
        assert_eq!(names(&secrets, 109), ["third", "second", "first"]);
        assert_eq!(names(&secrets, 110), ["third", "second"]);
        assert_eq!(names(&secrets, 150), ["third"]);
    }

    #[test]
    fn only_so_many_replaced_secrets_are_kept_and_expired_ones_go() {
        let mut secrets = Vec::new();
        for name in ["first", "second", "third", "fourth"] {
            rotate(&mut secrets, Some(name.into()), 0, 100, 2);
        }
        assert_eq!(names(&secrets, 0), ["fourth", "third", "second"]);
        rotate(&mut secrets, None, 100, 100, 2);
        assert_eq!(secrets, [HeldSecret { sealed: "fourth".into(), until: None }]);
    }
}
