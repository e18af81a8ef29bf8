use super::*;
use proptest::prelude::*;

fn fields(text: &str) -> Fields {
    Fields::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_is_not_a_json_object_is_refused_with_the_reason() {
    let say = |body: &[u8]| Fields::parse(body).unwrap_err().to_string();
    assert!(say(b"\xff").contains("byte 0"));
    assert!(say(b"{").contains("not JSON"));
    assert!(say(b"").contains("not JSON"));
    assert!(say(b"[1]").contains("an array"));
    assert!(say(br#"{"a":"\ud800"}"#).contains("not JSON"));
}

#[test]
fn absent_and_null_are_the_same() {
    let mut body = fields(r#"{"a":null}"#);
    assert_eq!((body.text("a"), body.text("b")), (None, None));
    assert_eq!(body.finish(Some(())), Ok(()));
}

#[test]
fn every_fault_is_named_not_only_the_first() {
    let mut body = fields(r#"{"a":1,"n":99,"b":"x","m":{"k":2},"l":["x",1]}"#);
    body.required_text("a");
    body.required_text("gone");
    body.integer("n", 1..=10);
    body.boolean("b");
    body.metadata("m");
    body.list("l", |text| if text == "x" { Err("no x") } else { Ok(()) });
    let faults = body.finish(Some(())).unwrap_err();
    let names: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(names, ["a", "gone", "n", "b", "m.k", "l.0", "l.1"]);
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    let of = |number: &str| {
        let mut body = fields(&format!("{{\"n\":{number}}}"));
        let read = body.integer("n", -5..=3600);
        body.finish(read).ok()
    };
    assert_eq!((of("30"), of("30.0"), of("3e1")), (Some(30), Some(30), Some(30)));
    assert_eq!((of("30.5"), of("1e300"), of("-6.0"), of("\"3\"")), (None, None, None, None));
}

#[test]
fn metadata_has_at_most_32_entries_and_4_kib() {
    let entries = |n: usize, value: &str| {
        let map: Metadata = (0..n).map(|i| (format!("k{i:02}"), value.to_owned())).collect();
        let mut body = fields(&serde_json::json!({ "m": map }).to_string());
        body.metadata("m");
        body.finish(Some(())).is_ok()
    };
    assert!(entries(32, "v"));
    assert!(!entries(33, "v"));
    assert!(entries(4, &"x".repeat(1021)));
    assert!(!entries(4, &"x".repeat(1022)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Fields::parse(&bytes);
    }
}
