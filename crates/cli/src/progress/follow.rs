//! Looks at something of the coordinator's until it has ended, and shows its progress.

use super::display::{Display, end_line};
use super::waiting::Waiting;
use crate::failure::{Exit, Failure, Outcome};
use crate::session::Session;
use multiclaude_hybrid_client::Error;
use std::time::Duration;

/// Looks until it has ended, the time is over, or Ctrl-C ends the looking. `last` is what was
/// seen last; `progress` is `None` once it has ended. An outage of the coordinator is waited
/// out.
pub(super) async fn follow<T>(
    (session, mut waiting): (&Session, Waiting),
    last: &mut Option<T>,
    mut pauses: impl Iterator<Item = Duration>,
    look: impl AsyncFn() -> Result<T, Error>,
    progress: impl Fn(&T) -> Option<String>,
    (noun, hint): (&str, String),
) -> Outcome {
    let mut display = Display::new(session);
    let looking = async {
        loop {
            let seen = last.as_ref().map(&progress);
            if seen == Some(None) {
                return Ok(());
            }
            if let Some(text) = waiting.trouble().or(seen.flatten()) {
                waiting.check()?;
                display.say(text);
                display.pause(waiting.pause(pauses.next().unwrap_or_default())).await;
            }
            if let Some(found) = waiting.look(look()).await? {
                *last = Some(found);
            }
        }
    };
    let done = tokio::select! {
        // Ctrl-C counts from before the first line of progress.
        biased;
        _ = tokio::signal::ctrl_c() => {
            end_line();
            return Err(Failure::new(format!("no longer waiting; the {noun} stands"))
                .exit(Exit::Interrupted)
                .hint(hint));
        }
        done = looking => done,
    };
    display.clear();
    done
}
