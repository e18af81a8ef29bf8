use super::*;
use proptest::prelude::*;

fn named(url: &str) -> Option<(String, String)> {
    match parse(url) {
        Remote::Is { host, repo } => Some((host.name().to_owned(), repo.to_string())),
        Remote::Unknown(_) => None,
    }
}

#[test]
fn a_repo_is_known_by_any_url_that_git_understands() {
    for (url, host) in [
        ("https://github.com/Acme/App", "github.com"),
        ("https://github.com/acme/app.git", "github.com"),
        ("https://github.com/acme/app/", "github.com"),
        ("https://github.com/acme/app.git/", "github.com"),
        ("https://github.com//acme/app//", "github.com"),
        ("http://git.corp:3000/acme/app", "git.corp"),
        ("https://dan:token@github.com/acme/app.git", "github.com"),
        ("git@github.com:acme/app.git", "github.com"),
        ("git@github.com:acme/app", "github.com"),
        ("git@github.com:/acme/app.git", "github.com"),
        ("ssh://git@github.com/acme/app.git", "github.com"),
        ("ssh://git@ssh.github.com:443/acme/app.git", "github.com"),
        ("git+ssh://git@github.com/acme/app.git", "github.com"),
        ("ssh+git://git@github.com/acme/app", "github.com"),
        ("git://github.com/acme/app.git", "github.com"),
        ("work:acme/app.git", "work"),
        ("work:/acme/app.git", "work"),
        ("w:acme/app", "w"),
        ("dan@C:/acme/app", "c"),
        ("[::1]:acme/app", "::1"),
        ("git@[::1]:acme/app.git", "::1"),
        ("[git@h:22]:acme/app", "h"),
        ("git@[h:22]:acme/app", "h"),
        ("ssh://git@[::1]:22/acme/app", "::1"),
        (" https://github.com/acme/app\n", "github.com"),
    ] {
        let is = Some((host.to_owned(), "acme/app".to_owned()));
        assert_eq!(named(url), is, "{url}");
    }
}

#[test]
fn a_url_without_owner_and_repo_is_unknown() {
    for url in [
        // Paths.
        "/srv/git/app.git",
        "/acme/app",
        "../app",
        "./work:acme/app",
        "acme/app",
        "app",
        "file:///srv/acme/app",
        "C:/acme/app",
        "C:\\acme\\app",
        // More parts, or fewer.
        "https://gitlab.com/group/sub/app.git",
        "git@gitlab.com:group/sub/app.git",
        "git@github.com:app.git",
        "https://github.com/acme",
        "https://github.com/acme/.git",
        "https://github.com",
        "https://github.com/",
        "https://bitbucket.corp/scm/acme/app.git",
        "ssh://gerrit.corp:29418/app",
        "git@github.com:22/acme/app",
        // Other shapes of repos.
        "https://dev.azure.com/org/project/_git/app",
        "https://org@dev.azure.com/org/project/_git/app",
        "https://org.visualstudio.com/project/_git/app",
        "https://org.visualstudio.com/_git/app",
        "https://org.visualstudio.com/project/_git",
        "git@ssh.dev.azure.com:v3/org/project/app",
        "https://git.sr.ht/~acme/app",
        "git@git.sr.ht:~acme/app",
        "ssh://host/~/acme/app",
        "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/app",
        "codecommit::us-east-1://app",
        "codecommit://profile@app",
        "ext::sh -c acme/app",
        "persistent-https://github.com/acme/app",
        // Not quite URLs.
        "https:///acme/app",
        ":acme/app",
        "::acme/app",
        "git@:acme/app",
        "ssh://git@github.com:acme/app.git",
        "-oProxyCommand=x:acme/app",
        "https://github.com/acme/app?ref=main",
        "https://github.com/acme/app#readme",
        "https://github.com/acme/app%2Fx",
        "https://github.com\\acme\\app",
        "git@github.com:acme\\app",
        "git@github.com:acme//app",
        "git@github.com:acme/..",
    ] {
        assert!(matches!(parse(url), Remote::Unknown(_)), "{url}: {:?}", parse(url));
    }
    assert_eq!(parse("  "), Remote::Unknown(String::new()));
}

/// A spelling of `path` on `host`.
fn spelling(host: &'static str, path: String) -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https://",
        "http://",
        "ssh://",
        "git://",
        "git+ssh://",
        "ssh+git://",
        "HTTPS://",
    ]);
    let user = prop::sample::select(vec!["", "git@", "dan:pw@", "x-access-token:ghs_1@"]);
    let port = prop::sample::select(vec!["", ":", ":22", ":8443"]);
    let slashes = prop::sample::select(vec!["", "/", "//"]);
    let end = prop::sample::select(vec!["", "/", ".git", ".git/", "//"]);
    let blanks = prop::sample::select(vec!["", " ", "\n"]);
    let upper = any::<(bool, bool)>();
    (scheme, user, port, slashes, end, blanks, upper, 0..4_u8).prop_map(
        move |(scheme, user, port, slashes, end, blanks, (loud_host, loud_path), form)| {
            let host = if loud_host { host.to_uppercase() } else { host.to_owned() };
            let path = if loud_path { path.to_uppercase() } else { path.clone() };
            let name = user.split(':').next().unwrap_or_default().trim_end_matches('@');
            let at = if name.is_empty() { String::new() } else { format!("{name}@") };
            // With two of them it would be a scheme.
            let slash = slashes.get(..1).unwrap_or_default();
            match form {
                0 => format!("{at}{host}:{slash}{path}{end}{blanks}"),
                1 => format!("[{at}{host}:22]:{slash}{path}{end}{blanks}"),
                2 => format!("{at}[{host}:22]:{slash}{path}{end}{blanks}"),
                _ => format!("{blanks}{scheme}{user}{host}{port}/{slashes}{path}{end}"),
            }
        },
    )
}

proptest! {
    #[test]
    fn all_spellings_of_a_repo_are_that_repo(url in spelling("git.example.com", "acme/app.x".to_owned())) {
        let is = ("git.example.com".to_owned(), "acme/app.x".to_owned());
        prop_assert_eq!(named(&url), Some(is), "{}", url);
    }

    #[test]
    fn another_part_or_shape_is_never_taken_for_a_repo(
        url in prop::sample::select(vec![
            "acme/app/x", "v3/acme/app", "acme/sub/app", "scm/acme/app", "~acme/app", "acme/~app",
            "acme/_git", "_git/app", "acme/_git/app", "acme", "acme/app:x", "acme/a pp", "acme/app@x",
        ])
        .prop_flat_map(|path| spelling("git.example.com", path.to_owned()))
    ) {
        prop_assert!(matches!(parse(&url), Remote::Unknown(_)), "{}", url);
    }

    #[test]
    fn no_text_panics_or_shows_a_password(url in "[a-z:/@\\[\\]\\.~ -]{0,24}", any in "\\PC*") {
        let _ = (parse(&url), parse(&any), without_user(&any));
        let shown = without_user(&format!("https://dan:hunter2@{url}"));
        prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }
}
