use super::*;
use proptest::prelude::*;
use url::{Host, Url};

/// Uses the Rust form of the runtime's parser. A text that it does not parse is refused
/// before the rules.
fn checked(text: &str, rules: Rules<'_>) -> Result<String, Option<EndpointError>> {
    check_text(text).map_err(Some)?;
    let url = Url::parse(text).map_err(|_| None)?;
    let port = url.port().map_or(String::new(), |port| port.to_string());
    let parsed = ParsedUrl {
        scheme: url.scheme(),
        host: url.host_str().unwrap_or_default(),
        port: &port,
        has_user_info: !url.username().is_empty() || url.password().is_some(),
    };
    check(parsed, rules).map_err(Some)?;
    Ok(url.into())
}

fn strict(text: &str) -> Result<String, Option<EndpointError>> {
    checked(text, Rules { own_host: "api.multiclaude.dev", allow_insecure: false })
}

fn insecure(text: &str) -> Result<String, Option<EndpointError>> {
    checked(text, Rules { own_host: "127.0.0.1:8787", allow_insecure: true })
}

#[test]
fn https_with_a_public_name_is_accepted() {
    let good = strict("https://Hooks.Example.com/a?b=1");
    assert_eq!(good.unwrap(), "https://hooks.example.com/a?b=1");
    assert!(strict("https://example.com:8443/").is_ok());
    assert!(strict("https://internal.example.com/").is_ok());
    assert!(strict("https://mylocal.dev/").is_ok());
}

#[test]
fn an_ip_address_in_any_notation_is_refused() {
    for bad in [
        "https://10.0.0.1/",
        "https://8.8.8.8/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://１２７.０.０.１/",
        "https://10.0.0.1./",
    ] {
        let found = strict(bad);
        assert!(matches!(found, Err(Some(EndpointError::IpLiteral) | None)), "{bad} {found:?}");
    }
}

#[test]
fn a_name_of_a_local_network_is_refused() {
    for bad in [
        "localhost",
        "a.localhost",
        "box",
        "printer.local",
        "x.internal",
        "nas.home.arpa",
        "home.arpa",
    ] {
        let url = format!("https://{bad}/");
        assert_eq!(strict(&url), Err(Some(EndpointError::InnerName)), "{bad}");
    }
    for bad in ["localhost.", "example.com.", "x.internal."] {
        let url = format!("https://{bad}/");
        assert_eq!(strict(&url), Err(Some(EndpointError::TrailingDot)), "{bad}");
    }
}

#[test]
fn plain_http_user_info_and_the_coordinator_itself_are_refused() {
    assert_eq!(strict("http://example.com/"), Err(Some(EndpointError::Scheme)));
    assert_eq!(strict("ftp://example.com/"), Err(Some(EndpointError::Scheme)));
    assert_eq!(strict("https://u:p@example.com/"), Err(Some(EndpointError::UserInfo)));
    assert_eq!(strict("https://u@example.com/"), Err(Some(EndpointError::UserInfo)));
    assert_eq!(strict("https://API.multiclaude.dev/v1"), Err(Some(EndpointError::OwnHost)));
    assert_eq!(strict("https://api.multiclaude.dev:444/"), Err(Some(EndpointError::OwnHost)));
    assert_eq!(strict("/hook"), Err(Some(EndpointError::Scheme)));
}

#[test]
fn text_that_parsers_repair_or_read_in_two_ways_is_refused() {
    for bad in [
        "\0https://a.example/",
        "https://a.example/\0",
        " https://a.example/",
        "https://a.example/ ",
        "https://a.exa\tmple/",
        "https://a.example/\r\n",
        "https://a.example/a b",
        "https:\\\\a.example\\",
        "https://a.example\\@b.example/",
        "https://a.example/\u{a0}",
        "https://a.example/\u{2028}",
        "https://a.example/\u{85}",
    ] {
        assert_eq!(strict(bad), Err(Some(EndpointError::Character)), "{bad:?}");
    }
    for bad in [
        "https:a.example",
        "https:/a.example",
        "https:///a.example",
        "https://",
        "https:///",
        "a.example",
        "//a.example/",
    ] {
        assert_eq!(strict(bad), Err(Some(EndpointError::Scheme)), "{bad:?}");
    }
    for bad in ["https://@a.example/", "https://:@a.example/", "https://u:@a.example/"] {
        assert_eq!(strict(bad), Err(Some(EndpointError::UserInfo)), "{bad:?}");
    }
}

#[test]
fn hosts_and_ports_that_cannot_exist_are_refused_on_loopback_too() {
    let (long, longer) = ("a".repeat(63), "a".repeat(64));
    let total = format!("{long}.{long}.{long}.{}", "b".repeat(61));
    for good in ["a.example", "_dmarc.example.com", "a-b.example", "xn--bcher-kva.example", &total]
    {
        assert!(strict(&format!("https://{good}/")).is_ok(), "{good}");
    }
    for bad in [
        "a..example",
        ".a.example",
        "-a.example",
        "a-.example",
        "a.-b.example",
        "a.example-",
        "a*.example",
        "a~.example",
        "a!b.example",
        &format!("{longer}.example"),
        &format!("{total}b"),
    ] {
        assert_eq!(strict(&format!("https://{bad}/")), Err(Some(EndpointError::Label)), "{bad}");
    }
    for bad in ["-a.localhost", "a..localhost", ".localhost", &format!("{longer}.localhost")] {
        let url = format!("http://{bad}:9000/");
        assert_eq!(insecure(&url), Err(Some(EndpointError::Label)), "{bad}");
    }
    for bad in
        ["http://127.0.0.1:0/", "http://localhost:00/", "http://a.example:0/", "http://[::1]:0/"]
    {
        assert_eq!(insecure(bad), Err(Some(EndpointError::Port)), "{bad}");
    }
    assert_eq!(strict("https://a.example:0/"), Err(Some(EndpointError::Port)));
    assert!(strict("https://a.example:1/").is_ok() && strict("https://a.example:65535/").is_ok());
    assert!(strict("https://a.example:65536/").is_err());
}

#[test]
fn allow_insecure_opens_http_and_loopback_but_nothing_else() {
    assert!(insecure("http://127.0.0.1:9000/hook").is_ok());
    assert!(insecure("http://localhost:9000/").is_ok());
    assert!(insecure("http://[::1]:9000/").is_ok());
    assert!(insecure("http://example.com/").is_ok());
    assert_eq!(insecure("http://10.0.0.1/"), Err(Some(EndpointError::IpLiteral)));
    assert_eq!(insecure("http://box/"), Err(Some(EndpointError::InnerName)));
    for own in ["127.0.0.1", "localhost", "127.0.0.2", "[::1]", "a.localhost"] {
        let url = format!("http://{own}:8787/");
        assert_eq!(insecure(&url), Err(Some(EndpointError::OwnHost)), "{own}");
    }
}

proptest! {
    #[test]
    fn no_ipv4_address_gets_through_whatever_its_notation(ip: u32) {
        let [a, b, c, d] = ip.to_be_bytes();
        for text in [format!("{a}.{b}.{c}.{d}"), format!("{ip}"), format!("0x{ip:x}"), format!("0{a:o}.{b}.{c}.{d}")] {
            prop_assert!(strict(&format!("https://{text}/")).is_err(), "{}", text);
        }
    }

    #[test]
    fn a_name_is_accepted_exactly_if_each_of_its_labels_can_exist(
        labels in prop::collection::vec("[a-z0-9_-]{0,3}|[a-z0-9]{62,65}", 1..6), tld in "[a-z]{2,6}",
    ) {
        let name = format!("{}.{tld}", labels.join("."));
        let fits = |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
        let inner = ["local", "localhost", "internal", "localdomain"].contains(&tld.as_str());
        prop_assume!(!inner && !name.contains("xn--") && !name.ends_with("home.arpa"));
        let good = name.len() <= 253 && labels.iter().all(|label| fits(label));
        prop_assert_eq!(strict(&format!("https://{name}/")).is_ok(), good, "{}", name);
    }

    #[test]
    fn a_character_that_parsers_drop_is_refused_wherever_it_stands(
        odd in "[\\x00-\\x20\\x7f\\\\\u{a0}\u{2028}\u{3000}]", at in 0_usize..=24,
    ) {
        let mut text = "https://a.example/b?c=d#e".to_owned();
        text.insert_str(at, &odd);
        prop_assert_eq!(strict(&text), Err(Some(EndpointError::Character)));
    }

    #[test]
    fn what_is_accepted_is_https_to_a_dotted_name(text in "(https?://)?[a-z0-9.@:\\[\\]%/-]{0,40}") {
        if let Ok(url) = strict(&text) {
            let url = Url::parse(&url).unwrap();
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(matches!(url.host(), Some(Host::Domain(name)) if name.contains('.')));
        }
    }
}
