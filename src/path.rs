//! The canonical form of a request's path: a list of decoded segments in
//! which the repo is one segment, `owner/repo`, whether the client sent it as
//! two segments or as one escaped one (`owner%2Frepo`).

use percent_encoding::percent_decode_str;

/// Why a path has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An escape that is not UTF-8.
    #[error("has the segment \"{0}\", which is not UTF-8 once unescaped")]
    Utf8(String),
    /// An empty segment, `.` or `..`, or a slash inside a name.
    #[error(
        "has the segment \"{0}\", which is empty, . or .., or holds a slash; leave out doubled and trailing slashes"
    )]
    Segment(String),
}

fn decode(raw: &str) -> Result<String, PathError> {
    percent_decode_str(raw)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| PathError::Utf8(raw.to_owned()))
}

fn name(raw: &str) -> Result<String, PathError> {
    let text = decode(raw)?;
    if text.is_empty() || text == "." || text == ".." || text.contains('/') {
        return Err(PathError::Segment(raw.to_owned()));
    }
    Ok(text)
}

/// The canonical segments of `path`, which starts with a slash.
pub fn segments(path: &str) -> Result<Vec<String>, PathError> {
    let mut raw = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut segments = Vec::with_capacity(8);
    while let Some(segment) = raw.next() {
        let after_repos = segments.len() == 2 && segments.iter().eq(["v1", "repos"]);
        if !after_repos {
            segments.push(name(segment)?);
            continue;
        }
        segments.push(match decode(segment)?.split_once('/') {
            Some((owner, repo)) => format!("{}/{}", name(owner)?, name(repo)?),
            None => match raw.next() {
                Some(repo) => format!("{}/{}", name(segment)?, name(repo)?),
                None => name(segment)?,
            },
        });
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(path: &str) -> Vec<String> {
        segments(path).unwrap()
    }

    #[test]
    fn a_repo_is_one_segment_however_it_was_sent() {
        let wanted = ["v1", "repos", "Acme/App", "agents", "a b"];
        assert_eq!(canonical("/v1/repos/Acme/App/agents/a%20b"), wanted);
        assert_eq!(canonical("/v1/repos/Acme%2FApp/agents/a%20b"), wanted);
        assert_eq!(canonical("/v1/repos/Acme%2fApp/agents/a%20b"), wanted);
    }

    #[test]
    fn a_repo_called_agents_is_not_confused_with_the_collection() {
        assert_eq!(canonical("/v1/repos/a/agents/agents"), ["v1", "repos", "a/agents", "agents"]);
        assert_eq!(canonical("/v1/repos/a%2Fagents/agents"), ["v1", "repos", "a/agents", "agents"]);
    }

    #[test]
    fn empty_and_dotted_segments_and_slashes_in_names_are_refused() {
        for bad in [
            "/v1//health",
            "/v1/repos//app/agents",
            "/v1/repos/a//agents",
            "/v1/repos/%2Fb/agents",
            "/v1/repos/a%2F/agents",
            "/v1/repos/a%2Fb%2Fc/agents",
            "/v1/repos/a/%2E%2E/agents",
            "/v1/repos/a/b/agents/x%2Fy",
            "/v1/repos/a/b/agents/",
            "/",
        ] {
            assert!(
                matches!(segments(bad), Err(PathError::Segment(_))),
                "{bad} {:?}",
                segments(bad)
            );
        }
        assert!(matches!(segments("/v1/%ff"), Err(PathError::Utf8(_))));
    }

    proptest! {
        #[test]
        fn escaping_a_repo_makes_no_difference(
            owner in "[A-Za-z0-9-]{1,9}", repo in "[A-Za-z0-9_-]{1,9}", rest in "[a-z]{1,9}(/[a-z]{1,9}){0,2}"
        ) {
            let plain = segments(&format!("/v1/repos/{owner}/{repo}/{rest}"));
            prop_assert_eq!(&plain, &segments(&format!("/v1/repos/{owner}%2F{repo}/{rest}")));
            prop_assert_eq!(&plain.unwrap()[2], &format!("{owner}/{repo}"));
        }

        #[test]
        fn any_path_is_read_or_refused_and_no_segment_climbs(path in "/[a-zA-Z0-9%./]{0,40}") {
            if let Ok(segments) = segments(&path) {
                for (at, segment) in segments.iter().enumerate() {
                    prop_assert!(!["", ".", ".."].contains(&segment.as_str()));
                    prop_assert!(at == 2 || !segment.contains('/'));
                }
            }
        }
    }
}
