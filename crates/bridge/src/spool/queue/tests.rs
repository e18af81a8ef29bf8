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
fn the_order_is_that_of_the_timestamps_and_a_message_waits_for_a_second_look() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-b", "fox", 2000);
    assert_eq!(queue.look().unwrap(), 1);
    assert_eq!(queue.released().get("ann"), None);
    // The first look missed it.
    bench.write("msg-a", "fox", 1000);
    assert_eq!(queue.look().unwrap(), 1);
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
    assert_eq!(queue.released()["ann"], 2_000_000_000);
    assert_eq!(queue.look().unwrap(), 0);
}

#[test]
fn what_is_found_after_a_message_was_released_comes_after_it_even_if_the_clock_went_back() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-a", "fox", 9000);
    queue.look().unwrap();
    queue.look().unwrap();
    bench.write("msg-b", "fox", 1000);
    queue.look().unwrap();
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
}

#[test]
fn several_messages_of_a_clock_that_went_back_keep_their_order() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-5", "fox", 9_000_000);
    queue.look().unwrap();
    queue.look().unwrap();
    // Random ids, in one look and in the next one.
    bench.write("msg-9", "fox", 1000);
    bench.write("msg-1", "fox", 1001);
    queue.look().unwrap();
    bench.write("msg-0", "fox", 1002);
    queue.look().unwrap();
    assert_eq!(bench.ids(), ["msg-5", "msg-9", "msg-1", "msg-0"]);
}

#[test]
fn one_file_that_cannot_be_taken_holds_up_no_other() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-1", "fox", 1000);
    // In the place of its queue is a file.
    make_dir(&bench.dirs.out().join("bob")).unwrap();
    fs::write(bench.dirs.queue().join("bob"), "").unwrap();
    fs::copy(bench.dirs.out().join("ann/msg-1.json"), bench.dirs.out().join("bob/msg-1.json"))
        .unwrap();
    assert_eq!(queue.look().unwrap(), 1);
    assert!(queue.failure().is_some());
    queue.look().unwrap();
    assert_eq!(queue.released()["ann"], 1_000_000_000);
}

#[test]
fn a_restart_between_two_looks_does_not_change_the_order() {
    let bench = Bench::new();
    bench.write("msg-b", "fox", 2000);
    Queue::open(bench.dirs.clone()).unwrap().look().unwrap();
    bench.write("msg-a", "fox", 1000);
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    queue.look().unwrap();
    assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
    assert_eq!(queue.released()["ann"], 2_000_000_000);
}

#[test]
fn messages_of_the_daemon_stay_here_and_half_written_ones_wait() {
    let bench = Bench::new();
    let mut queue = Queue::open(bench.dirs.clone()).unwrap();
    bench.write("msg-d", "daemon", 1000);
    let half = bench.dirs.out().join("ann/msg-h.json");
    fs::write(&half, "{\"id\": \"msg-h\", ").unwrap();
    assert_eq!(queue.look().unwrap(), 0);
    assert_eq!(names(&bench.dirs.out().join("ann")).unwrap(), ["msg-h.json"]);
    let long_ago = std::time::UNIX_EPOCH;
    fs::File::options().write(true).open(&half).unwrap().set_modified(long_ago).unwrap();
    queue.look().unwrap();
    assert_eq!(names(&bench.dirs.damaged()).unwrap(), ["msg-h.json"]);
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
    assert_eq!(queue.look().unwrap(), 1);
    assert_eq!(bench.ids(), ["msg-x"]);
}
