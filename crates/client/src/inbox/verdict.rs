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
    let no_stream = match error {
        Error::Refused { problem, .. } => match problem.status {
            404 => problem.code == ErrorCode::NotFound,
            status => !matches!(status, 401 | 403 | 409 | 412 | 429 | 500..),
        },
        Error::Unexpected { .. } => !error.is_temporary(),
        _ => false,
    };
    if no_stream { Verdict::NoStream } else { of_call(error, was_reached) }
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
    Error::Refused { problem, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fatal, NoStream, Wait};
    use reqwest::StatusCode;

    fn refused(code: ErrorCode) -> Error {
        let problem = Box::new(Problem::new(code, "", "", vec![]));
        Error::Refused { problem, retry_after: None }
    }

    fn unexpected(status: u16) -> Error {
        Error::unexpected("", StatusCode::from_u16(status).unwrap(), "", None)
    }

    #[test]
    fn a_close_code_becomes_the_error_that_a_call_would_get() {
        let closed = |code, reason: &str| of_close(code, reason.to_owned());
        for code in
            [ErrorCode::Unauthenticated, ErrorCode::AgentNotFound, ErrorCode::AgentSuperseded]
        {
            let error = closed(4000 + code.status(), code.as_str());
            assert_eq!((error.code(), error.status()), (Some(code), Some(code.status())));
        }
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
        assert_eq!(of_call(&refused(ErrorCode::Unavailable), false), Wait);
        assert_eq!(of_call(&Error::unanswered(""), false), Wait);
        assert_eq!(of_call(&unexpected(502), false), Wait);
        assert_eq!(of_call(&unexpected(429), false), Wait);
        for error in [
            refused(ErrorCode::Unauthenticated),
            refused(ErrorCode::Forbidden),
            refused(ErrorCode::AgentNotFound),
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
            refused(ErrorCode::UpgradeRequired),
            refused(ErrorCode::NotFound),
            unexpected(101),
            unexpected(200),
            unexpected(400),
        ] {
            assert_eq!(of_opening(&error, false), NoStream, "{error}");
        }
        assert_eq!(of_opening(&unexpected(502), false), Wait);
    }
}
