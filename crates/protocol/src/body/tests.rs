use super::*;
use crate::metadata::Metadata;
use proptest::prelude::*;
use serde_json::json;

body! {
    /// One field of each kind.
    #[derive(Default)]
    struct Sample {
        /// Its name.
        pub name: String = required(text()),
        /// A number.
        pub number: Option<i64> = optional(integer(-5..=3600)),
        /// A switch.
        pub on: bool = flag(),
        /// Pairs.
        pub pairs: Metadata = with_default(Metadata::new(), Pairs),
        /// Words.
        pub words: Vec<String> = with_default(Vec::new(), list(3, word(LABEL))),
        /// One line.
        pub line as "short_line": Option<String> = optional_or_empty(text().chars(2, 4).one_line()),
    }
}

#[test]
fn a_body_that_is_no_json_object_is_refused_with_the_reason() {
    let say = |body: &[u8]| Sample::read(body).unwrap_err().to_string();
    assert!(say(b"\xff").contains("byte 0"));
    assert!(say(b"{").contains("not JSON"));
    assert!(say(b"").contains("not JSON"));
    assert!(say(b"[1]").contains("an array"));
    assert!(say(br#"{"a":"\ud800"}"#).contains("not JSON"));
}

#[test]
fn absent_and_null_are_the_same_and_unknown_fields_are_ignored() {
    let bare = Sample { name: "a".into(), ..Sample::default() };
    assert_eq!(read(&json!({"name": "a"})), Ok(bare.clone()));
    let nulls = json!({"name": "a", "number": null, "on": null, "pairs": null, "words": null,
        "short_line": "", "else": 1});
    assert_eq!(read(&nulls), Ok(bare));
    assert_eq!(read::<Sample>(&json!({"name": null})), Err(vec!["name".to_owned()]));
}

#[test]
fn every_fault_is_named_not_only_the_first() {
    let faults = read::<Sample>(&json!({"name": 1, "number": 9999, "on": "x", "pairs": {"k": 2},
        "words": ["x", 1, "a b"], "short_line": "\n\n"}));
    let wanted = ["name", "number", "on", "pairs.k", "words.1", "words.2", "short_line"];
    assert_eq!(faults.unwrap_err(), wanted);
    assert_eq!(
        read::<Sample>(&json!({"name": "a", "words": ["a", "b", "c", "d"]})).unwrap_err(),
        ["words"]
    );
}

#[test]
fn a_list_names_the_entry_at_fault() {
    let of = |body: serde_json::Value| Sample::read_list(body.to_string().as_bytes(), 2);
    assert_eq!(of(json!([{"name": "a"}, {"name": "b"}])).unwrap().len(), 2);
    let Err(BodyError::Fields(faults)) = of(json!([{"name": "a"}, {"number": "x"}])) else {
        panic!()
    };
    let names: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(names, ["1.name", "1.number"]);
    assert_eq!(of(json!([{}, {}, {}])), Err(BodyError::TooMany(2)));
    assert_eq!(of(json!([{"name": "a"}, 1])), Err(BodyError::NotAList("a number")));
    assert_eq!(of(json!({})), Err(BodyError::NotAList("an object")));
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    let of = |number: &str| {
        let body = format!(r#"{{"name":"a","number":{number}}}"#);
        Sample::read(body.as_bytes()).ok().and_then(|sample| sample.number)
    };
    assert_eq!((of("30"), of("30.0"), of("3e1")), (Some(30), Some(30), Some(30)));
    assert_eq!((of("30.5"), of("1e300"), of("-6.0"), of("\"3\"")), (None, None, None, None));
}

#[test]
fn metadata_has_at_most_32_entries_and_4_kib() {
    let fits = |n: usize, value: &str| {
        let pairs: Metadata = (0..n).map(|i| (format!("k{i:02}"), value.to_owned())).collect();
        read::<Sample>(&json!({"name": "a", "pairs": pairs})).is_ok()
    };
    assert!(fits(32, "v"));
    assert!(!fits(33, "v"));
    assert!(fits(4, &"x".repeat(1021)));
    assert!(!fits(4, &"x".repeat(1022)));
}

#[test]
fn a_word_has_1_to_64_characters_of_its_set() {
    let faults = |word: &str| text::LABEL.fault(word);
    for good in ["a", "Z_9.-", &"x".repeat(64)] {
        assert_eq!(faults(good), None, "{good}");
    }
    for bad in ["", "a b", "ä", "a/b", "@", "[", "`", "{", "\0", &"x".repeat(65)] {
        let wanted = "must be 1 to 64 of A-Z, a-z, 0-9, _, ., -";
        assert_eq!(faults(bad).as_deref(), Some(wanted), "{bad}");
    }
    assert!(text::AGENT_TYPE.fault("a.b").is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Sample::read(&bytes);
    }

    #[test]
    fn a_body_is_read_as_it_was_written(
        name in "\\PC{0,9}", number in proptest::option::of(-5_i64..=3600), on: bool,
        words in proptest::collection::vec("[a-z.]{1,9}", 0..=3), line in proptest::option::of("[a-z]{2,4}"),
    ) {
        let pairs = Metadata::from([("k".to_owned(), name.clone())]);
        let sample = Sample { name, number, on, pairs, words, line };
        prop_assert_eq!(read(&serde_json::to_value(&sample).unwrap()), Ok(sample));
    }
}
