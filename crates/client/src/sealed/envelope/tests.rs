use super::*;
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::message::MessageStatus;
use proptest::prelude::*;

fn repo() -> Repo {
    Repo::parse("acme/app").unwrap()
}

fn name(text: &str) -> AgentName {
    AgentName::parse(text).unwrap()
}

fn written(body: &str) -> NewMessage {
    NewMessage::new(Sender::Agent(name("ws")), name("queue"), body)
}

/// The message as the coordinator delivers it.
fn arrived(sent: &NewMessage) -> Message {
    let id = MessageId::new(Timestamp(1), 1, 1, sent.to.clone());
    let message = serde_json::json!({
        "id": id, "from": sent.from, "from_owner": "dan", "to": sent.to, "repo": repo(),
        "body": sent.body, "status": MessageStatus::Pending, "created_at": Timestamp(1),
        "expires_at": Timestamp(2), "thread_id": sent.thread_id, "reply_to": sent.reply_to,
        "metadata": sent.metadata,
    });
    serde_json::from_value(message).unwrap()
}

fn sealed(body: &str) -> (Identity, Message) {
    let identity = Identity::generate();
    let sealed = seal(&written(body), &repo(), &identity.recipient()).unwrap();
    (identity, arrived(&sealed))
}

#[test]
fn a_plain_message_is_returned_unchanged() {
    let plain = arrived(&written("hello"));
    assert_eq!(open(&plain, &[]), Ok(plain));
}

#[test]
fn a_ciphertext_whose_mark_was_removed_still_counts_as_sealed() {
    let (key, marked) = sealed("hello");
    let mut stripped = marked.clone();
    stripped.metadata.clear();
    assert!(is_sealed(&stripped));
    assert_eq!(open(&stripped, &[]), Err(OpenError::NoKey));
    assert_eq!(open(&stripped, &[key]).unwrap().body, "hello");
}

#[test]
fn a_second_identity_opens_what_the_first_does_not() {
    let (identity, message) = sealed("hello");
    let opened = open(&message, &[Identity::generate(), identity]).unwrap();
    assert_eq!((opened.body.as_str(), opened.metadata.len()), ("hello", 0));
}

#[test]
fn each_way_not_to_open_has_an_error_of_its_own() {
    let (identity, message) = sealed("hello");
    let keys = [identity.clone()];
    assert_eq!(open(&message, &[]), Err(OpenError::NoKey));
    let other = [Identity::generate()];
    assert_eq!(open(&message, &other), Err(OpenError::WrongKey));
    let mut garbled = message.clone();
    garbled.body.truncate(garbled.body.len() - 60);
    assert_eq!(open(&garbled, &keys), Err(OpenError::Garbled));
    garbled.body = "hello".to_owned();
    assert_eq!(open(&garbled, &keys), Err(OpenError::Garbled));
    let mut strange = message.clone();
    strange.metadata.insert(ENCRYPTED.to_owned(), "rot13".to_owned());
    assert_eq!(open(&strange, &keys), Err(OpenError::Scheme));
    for (text, wanted) in [
        (r#"{"version":2,"text":"x"}"#, OpenError::Version(2)),
        (r#"{"version":1,"text":"x"}"#, OpenError::Garbled),
        ("hello", OpenError::Garbled),
    ] {
        let mut foreign = message.clone();
        let recipient = identity.recipient();
        foreign.body = age::encrypt_and_armor(&recipient.0, text.as_bytes()).unwrap();
        assert_eq!(open(&foreign, &keys), Err(wanted));
    }
}

#[test]
fn a_text_that_was_moved_to_another_message_is_refused() {
    let (identity, message) = sealed("hello");
    let keys = [identity];
    let moved = |field, change: &dyn Fn(&mut Message)| {
        let mut moved = message.clone();
        change(&mut moved);
        assert_eq!(open(&moved, &keys), Err(OpenError::Mismatch { field }));
    };
    moved("repo", &|m| m.repo = Repo::parse("acme/other").unwrap());
    moved("from", &|m| m.from = Sender::Agent(name("supervisor")));
    moved("from", &|m| m.from = Sender::System);
    moved("to", &|m| m.to = name("ws"));
    moved("thread_id", &|m| m.thread_id = Some("t".to_owned()));
    moved("reply_to", &|m| m.reply_to = Some(m.id.clone()));
}

#[test]
fn a_sealed_message_is_not_sealed_again() {
    let recipient = Identity::generate().recipient();
    let once = seal(&written("x"), &repo(), &recipient).unwrap();
    assert_eq!(seal(&once, &repo(), &recipient), Err(SealError::Sealed));
}

#[test]
fn the_longest_possible_text_is_sealed_and_one_byte_more_is_refused() {
    let identity = Identity::generate();
    let recipient = identity.recipient();
    for unit in ["x", "\n", "\u{1}", "ä", "\"x", "日本"] {
        let long = unit.repeat(BODY_MAX);
        let refused = seal(&written(&long), &repo(), &recipient);
        let Err(SealError::TooLarge { size, most }) = refused else { panic!("{refused:?}") };
        assert_eq!(size, long.len());
        // age adds a random length to each file: none of them is too long.
        for _ in 0..50 {
            let largest = seal(&written(&long[..most]), &repo(), &recipient).unwrap();
            assert!(largest.body.len() <= BODY_MAX, "{}", largest.body.len());
            assert!(largest.body.len() > BODY_MAX - 1024, "{}", largest.body.len());
        }
        let next = long[most..].chars().next().unwrap().len_utf8();
        let more = seal(&written(&long[..most + next]), &repo(), &recipient);
        let size = most + next;
        assert_eq!(more, Err(SealError::TooLarge { size, most }));
    }
    const { assert!(ENVELOPE_MAX > 46 * 1024) };
}

proptest! {
    #[test]
    fn a_sealed_message_opens_to_the_same_and_its_ciphertext_shows_nothing_of_it(
        body in "\\PC{0,300}|[\\x00-\\x7f]{0,100}", thread in prop::option::of("[a-z ]{1,128}")
    ) {
        let identity = Identity::generate();
        let mut message = written(&body);
        message.thread_id = thread;
        message.metadata.insert("k".to_owned(), "v".to_owned());
        let sealed = seal(&message, &repo(), &identity.recipient()).unwrap();
        prop_assert!(sealed.body.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
        prop_assert!(body.len() < 6 || !sealed.body.contains(&body));
        prop_assert_eq!(&sealed.metadata[ENCRYPTED], SCHEME);
        let opened = open(&arrived(&sealed), &[identity]).unwrap();
        prop_assert_eq!(opened, arrived(&message));
    }

    #[test]
    fn json_takes_the_bytes_that_were_counted(text in "\\PC{0,50}|[\\x00-\\x7f]{0,50}", room in 0_usize..60) {
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(escaped(&text), json.len() - 2);
        let fits = fitting(&text, room);
        prop_assert!(escaped(&text[..fits]) <= room);
        if let Some(next) = text[fits..].chars().next() {
            prop_assert!(escaped(&text[..fits + next.len_utf8()]) > room);
        }
    }

    #[test]
    fn opening_any_text_never_panics(text in "\\PC*") {
        let mut message = arrived(&written(&text));
        message.metadata.insert(ENCRYPTED.to_owned(), SCHEME.to_owned());
        prop_assert!(open(&message, &[Identity::generate()]).is_err());
    }
}
