use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const NOW: i64 = 1_700_000_000;

fn signed(secret: &str, at: i64, body: &str) -> HeaderMap {
    let signature = Secret::parse(secret).unwrap().sign("id_1", at, body);
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_ID, "id_1".parse().unwrap());
    headers.insert(HEADER_TIMESTAMP, at.into());
    headers.insert(HEADER_SIGNATURE, signature.parse().unwrap());
    headers
}

fn check(body: &str) -> Result<Payload, WebhookError> {
    let webhook = Webhook::new([SECRET]).unwrap();
    let push = webhook.verify_at(&signed(SECRET, NOW, body), body.as_bytes(), NOW)?;
    assert_eq!((push.id.as_str(), push.timestamp_secs), ("id_1", NOW));
    Ok(push.payload)
}

#[test]
fn either_of_two_secrets_is_enough() {
    let body = r#"{"type":"later.maybe","data":{"a":1}}"#;
    let both = Webhook::new([OTHER, SECRET]).unwrap();
    for secret in [SECRET, OTHER] {
        assert!(both.verify_at(&signed(secret, NOW, body), body.as_bytes(), NOW).is_ok());
    }
}

#[test]
fn payloads_are_typed_and_unknown_ones_are_kept() {
    let test = r#"{"type":"endpoint.test","data":{"repo":"acme/app","agent":"queue"}}"#;
    assert!(matches!(check(test), Ok(Payload::Test(tested)) if tested.agent.as_str() == "queue"));
    let unknown = check(r#"{"type":"later.maybe","data":{"a":1}}"#).unwrap();
    let (kind, data) = ("later.maybe".to_owned(), serde_json::json!({"a": 1}));
    assert_eq!(unknown, Payload::Unknown { kind, data });
    let wrong = check(r#"{"type":"message.created","data":{"id":"x"}}"#).unwrap_err();
    assert!(wrong.to_string().contains("message.created"), "{wrong}");
}

#[test]
fn each_fault_is_named_and_none_repeats_a_secret_or_a_signature() {
    let body = r#"{"type":"endpoint.test","data":{}}"#;
    let webhook = Webhook::new([SECRET]).unwrap();
    let refused = |headers: &HeaderMap, body: &str, now| {
        let error = webhook.verify_at(headers, body.as_bytes(), now).unwrap_err();
        let signature = headers.get(HEADER_SIGNATURE).and_then(|value| value.to_str().ok());
        let text = format!("{error} {error:?} {webhook:?}");
        assert!(!text.contains("MfKQ9r8G"), "{text}");
        assert!(!signature.is_some_and(|signature| text.contains(signature)), "{text}");
        error
    };
    let good = signed(SECRET, NOW, body);
    for name in [HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE] {
        let mut headers = good.clone();
        headers.append(name, good[name].clone());
        assert_eq!(refused(&headers, body, NOW), WebhookError::Malformed(name));
        headers.remove(name);
        assert_eq!(refused(&headers, body, NOW), WebhookError::Missing(name));
    }
    let mut headers = good.clone();
    headers.insert(HEADER_TIMESTAMP, "+1700000000".parse().unwrap());
    assert_eq!(refused(&headers, body, NOW), WebhookError::Malformed(HEADER_TIMESTAMP));
    assert_eq!(refused(&good, body, NOW + 301), WebhookError::Timestamp(301));
    assert_eq!(refused(&good, body, NOW - 301), WebhookError::Timestamp(-301));
    let foreign = signed(OTHER, NOW, body);
    assert_eq!(refused(&foreign, body, NOW), WebhookError::Signature);
    assert_eq!(refused(&good, "{}", NOW), WebhookError::Signature);
    assert!(matches!(Webhook::new(["hunter2"]), Err(WebhookError::Secret(_))));
    let none: [&str; 0] = [];
    assert!(matches!(Webhook::new(none), Err(WebhookError::NoSecret)));
}

#[test]
fn the_tolerance_can_be_chosen() {
    let body = r#"{"type":"later.maybe"}"#;
    let headers = signed(SECRET, NOW, body);
    let hour = Webhook::new([SECRET]).unwrap().tolerance(Duration::from_hours(1));
    assert!(hour.verify_at(&headers, body.as_bytes(), NOW + 3600).is_ok());
    assert!(hour.verify_at(&headers, body.as_bytes(), NOW + 3601).is_err());
}
