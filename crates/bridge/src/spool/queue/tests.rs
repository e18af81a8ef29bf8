use super::*;
use multiclaude_hybrid_client::protocol::Repo;

struct Bench {
    _home: tempfile::TempDir,
    dirs: RepoDirs,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let repo = Repo::parse("acme/app").unwrap();
        let dirs = crate::dirs::Dirs::of_home(home.path()).repo(&repo);
        make_dir(&dirs.out().join("ann")).unwrap();
        Self { _home: home, dirs }
    }

    /// multiclaude writes a message at this second.
    fn write(&self, id: &str, from: &str, at_ms: i64) {
        let mut message = LocalMessage::delivered(id, from, "ann", id, at_ms);
        message.status = crate::multiclaude::Status::Pending;
        message.write(&self.dirs.out().join("ann")).unwrap();
    }

    fn ids(&self) -> Vec<String> {
        entries(&self.dirs, "ann").unwrap().into_iter().map(|entry| entry.id).collect()
    }
}

#[test]
fn the_order_is_that_of_the_timestamps_and_a_message_waits_for_a_second_scan() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-b", "fox", 2000);
    assert_eq!(queue.scan().unwrap(), 1);
    assert_eq!(queue.released().get("ann"), None);
    // The first scan missed it.
    bench.write("msg-a", "fox", 1000);
    assert_eq!(queue.scan().unwrap(), 1);
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
    assert_eq!(queue.released()["ann"], 2_000_000_000);
    assert_eq!(queue.scan().unwrap(), 0);
}

#[test]
fn a_message_found_later_comes_after_released_ones_even_if_the_clock_was_set_back() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-a", "fox", 9000);
    queue.scan().unwrap();
    queue.scan().unwrap();
    bench.write("msg-b", "fox", 1000);
    queue.scan().unwrap();
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
}

#[test]
fn messages_after_the_clock_was_set_back_keep_their_order() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-5", "fox", 9_000_000);
    queue.scan().unwrap();
    queue.scan().unwrap();
    // Random ids, in one scan and in the next one.
    bench.write("msg-9", "fox", 1000);
    bench.write("msg-1", "fox", 1001);
    queue.scan().unwrap();
    bench.write("msg-0", "fox", 1002);
    queue.scan().unwrap();
    assert_eq!(bench.ids(), ["msg-5", "msg-9", "msg-1", "msg-0"]);
}

#[test]
fn a_file_that_cannot_be_taken_does_not_block_others() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-1", "fox", 1000);
    // A file is in the place of its queue.
    make_dir(&bench.dirs.out().join("bob")).unwrap();
    fs::write(bench.dirs.queue().join("bob"), "").unwrap();
    fs::copy(bench.dirs.out().join("ann/msg-1.json"), bench.dirs.out().join("bob/msg-1.json"))
        .unwrap();
    assert_eq!(queue.scan().unwrap(), 1);
    assert!(queue.failure().is_some());
    queue.scan().unwrap();
    assert_eq!(queue.released()["ann"], 1_000_000_000);
}

#[test]
fn a_restart_between_two_scans_does_not_change_the_order() {
    let bench = Bench::new();
    bench.write("msg-b", "fox", 2000);
    Queue::open(bench.dirs.clone()).unwrap().scan().unwrap();
    bench.write("msg-a", "fox", 1000);
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    queue.scan().unwrap();
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
    assert_eq!(queue.released()["ann"], 2_000_000_000);
}

#[test]
fn messages_of_the_daemon_are_not_sent_and_half_written_ones_wait() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-d", "daemon", 1000);
    let half = bench.dirs.out().join("ann/msg-h.json");
    fs::write(&half, "{\"id\": \"msg-h\", ").unwrap();
    assert_eq!(queue.scan().unwrap(), 0);
    assert_eq!(names(&bench.dirs.out().join("ann")).unwrap(), ["msg-h.json"]);
    let long_ago = std::time::UNIX_EPOCH;
    fs::File::options().write(true).open(&half).unwrap().set_modified(long_ago).unwrap();
    queue.scan().unwrap();
    assert_eq!(names(&bench.dirs.unsent()).unwrap(), ["msg-h.json"]);
}

#[test]
fn a_recipient_with_a_slash_is_found_in_its_directories() {
    let bench = Bench::new();
    let deep = bench.dirs.out().join("ann/b");
    fs::create_dir(&deep).unwrap();
    let mut message = LocalMessage::delivered("msg-x", "fox", "ann/b", "x", 1000);
    message.status = crate::multiclaude::Status::Pending;
    message.write(&deep).unwrap();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    assert_eq!(queue.scan().unwrap(), 1);
    assert_eq!(bench.ids(), ["msg-x"]);
}
