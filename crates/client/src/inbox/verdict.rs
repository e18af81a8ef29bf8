//! Whether a failure ends an inbox or is waited out. Pure.

use crate::Error;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::error::Problem;

/// How an inbox reacts to a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Waiting does not help: the inbox ends with this error.
    Fatal,
    /// An outage, to be waited out.
    Wait,
    /// No stream can be opened here: it polls.
    NoStream,
}

/// The verdict on a failed call. `was_reached`: the coordinator has answered this inbox
/// before, so an answer of another program comes from a network in between (a café's
/// login page) and does not mean a wrong URL.
pub(super) fn of_call(error: &Error, was_reached: bool) -> Verdict {
    match error {
        Error::Unexpected { .. } if was_reached => Verdict::Wait,
        Error::Closed { code, .. } if !is_final(*code) => Verdict::Wait,
        error if error.is_temporary() => Verdict::Wait,
        _ => Verdict::Fatal,
    }
}

/// The verdict on a stream that could not be opened. Proxies without WebSocket support
/// answer in many ways; a plain call shows whether the coordinator works.
pub(super) fn of_opening(error: &Error, was_reached: bool) -> Verdict {
    match error {
        Error::Invalid(_) => Verdict::NoStream,
        Error::NotFound(problem) if problem.code == ErrorCode::NotFound => Verdict::NoStream,
        Error::Unexpected { .. } if !error.is_temporary() => Verdict::NoStream,
        error => of_call(error, was_reached),
    }
}

/// Close codes that are final: 4000 plus the status of a refused request. 4409 is among
/// them: two programs that each replace the other's stream would do so without end.
fn is_final(code: u16) -> bool {
    matches!(code, 4401 | 4403 | 4404 | 4409)
}

/// The error for a close code: the one that a call would get, if there is one.
pub(super) fn of_close(code: u16, reason: String) -> Error {
    let named = ErrorCode::ALL.iter().find(|code| code.as_str() == reason);
    let Some(&named) = named.filter(|_| is_final(code)) else {
        return Error::Closed { code, reason };
    };
    let detail = format!("the coordinator closed the stream: {}", named.title());
    let problem = Box::new(Problem::new(named, &detail, "", Vec::new()));
    match code {
        4401 => Error::Unauthenticated(problem),
        4403 => Error::Forbidden(problem),
        4404 => Error::NotFound(problem),
        _ => Error::Conflict { code: named, problem },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fatal, NoStream, Wait};
    use reqwest::StatusCode;

    fn problem(code: ErrorCode) -> Box<Problem> {
        Box::new(Problem::new(code, "", "", vec![]))
    }

    fn unexpected(status: u16) -> Error {
        Error::unexpected("", StatusCode::from_u16(status).unwrap(), "", None)
    }

    #[test]
    fn a_close_code_becomes_the_error_that_a_call_would_get() {
        let closed = |code, reason: &str| of_close(code, reason.to_owned());
        assert!(matches!(closed(4401, "unauthenticated"), Error::Unauthenticated(_)));
        let gone = closed(4404, "agent_not_found");
        assert_eq!(gone.code(), Some(ErrorCode::AgentNotFound));
        let superseded = closed(4409, "agent_superseded");
        assert_eq!(superseded.code(), Some(ErrorCode::AgentSuperseded));
        assert!(matches!(superseded, Error::Conflict { .. }));
        let replaced = closed(4409, "stream_replaced");
        assert!(matches!(replaced, Error::Closed { code: 4409, .. }), "{replaced}");
    }

    #[test]
    fn a_stream_is_opened_again_unless_it_was_refused_or_replaced() {
        for (code, reason, wanted) in [
            (4401, "unauthenticated", Fatal),
            (4404, "agent_not_found", Fatal),
            (4409, "agent_superseded", Fatal),
            (4409, "stream_replaced", Fatal),
            (4409, "a reason of the future", Fatal),
            (4408, "unanswered", Wait),
            (1001, "", Wait),
            (1006, "", Wait),
            (1009, "frame_too_large", Wait),
        ] {
            let error = of_close(code, reason.to_owned());
            assert_eq!(of_call(&error, true), wanted, "{code} {reason}");
        }
    }

    #[test]
    fn an_outage_is_waited_out_and_a_refusal_is_not() {
        let failed = Error::Failed { retry_after: None, problem: problem(ErrorCode::Unavailable) };
        assert_eq!(of_call(&failed, false), Wait);
        assert_eq!(of_call(&Error::unanswered(""), false), Wait);
        assert_eq!(of_call(&unexpected(502), false), Wait);
        assert_eq!(of_call(&unexpected(429), false), Wait);
        for error in [
            Error::Unauthenticated(problem(ErrorCode::Unauthenticated)),
            Error::Forbidden(problem(ErrorCode::Forbidden)),
            Error::NotFound(problem(ErrorCode::AgentNotFound)),
            Error::MalformedToken,
        ] {
            assert_eq!(of_call(&error, true), Fatal, "{error}");
            assert_eq!(of_opening(&error, true), Fatal, "{error}");
        }
    }

    #[test]
    fn an_unexpected_answer_to_the_first_call_is_fatal_and_a_later_one_is_waited_out() {
        assert_eq!(of_call(&unexpected(200), false), Fatal);
        assert_eq!(of_call(&unexpected(200), true), Wait);
    }

    #[test]
    fn a_proxy_without_websockets_leads_to_polling() {
        for error in [
            Error::Invalid(problem(ErrorCode::UpgradeRequired)),
            Error::NotFound(problem(ErrorCode::NotFound)),
            unexpected(101),
            unexpected(200),
            unexpected(400),
        ] {
            assert_eq!(of_opening(&error, false), NoStream, "{error}");
        }
        assert_eq!(of_opening(&unexpected(502), false), Wait);
    }
}
