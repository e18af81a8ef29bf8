use super::*;
use crate::dirs::Dirs;
use crate::multiclaude::{LocalMessage, Status};
use multiclaude_hybrid_client::protocol::Repo;

struct Bench {
    home: tempfile::TempDir,
    links: Links,
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::of_home(home.path()).repo(&Repo::parse("acme/app").unwrap());
        make_dir(&dirs.out()).unwrap();
        let links = Links::new(home.path().join("messages/app"), dirs);
        Self { home, links }
    }

    fn make(
        &self,
        remote: &[&str],
        local: &[&str],
        registered: &[&str],
    ) -> BTreeMap<String, String> {
        let wanted = Wanted { remote: set(remote), local: set(local), registered: set(registered) };
        self.links.make(&wanted).unwrap()
    }

    /// multiclaude writes a message.
    fn send(&self, to: &str, id: &str, status: Status) {
        let dir = self.home.path().join("messages/app").join(to);
        fs::create_dir_all(&dir).unwrap();
        let mut message = LocalMessage::delivered(id, "fox", to, "x", 1000);
        message.status = status;
        message.write(&dir).unwrap();
    }

    fn is_link(&self, name: &str) -> bool {
        self.home.path().join("messages/app").join(name).is_symlink()
    }

    fn out(&self, name: &str) -> Vec<String> {
        names(&self.links.target(name)).unwrap()
    }
}

#[test]
fn remote_names_are_links_and_local_ones_are_not() {
    let bench = Bench::new();
    assert_eq!(bench.make(&["ann", "merge-queue"], &["fox"], &[]), BTreeMap::new());
    bench.send("ann", "msg-1", Status::Pending);
    bench.send("fox", "msg-2", Status::Pending);
    assert_eq!(bench.out("ann"), ["msg-1.json"]);
    bench.make(&["ann"], &["fox", "merge-queue"], &[]);
    assert!(bench.is_link("ann") && !bench.is_link("fox") && !bench.is_link("merge-queue"));
}

#[test]
fn messages_to_an_unknown_name_are_taken() {
    let bench = Bench::new();
    bench.send("ann", "msg-1", Status::Pending);
    bench.send("ann", "msg-0", Status::Read);
    bench.send("wolf", "msg-2", Status::Pending);
    bench.make(&[], &["fox"], &["wolf"]);
    assert!(bench.is_link("ann") && !bench.is_link("wolf"));
    assert_eq!(bench.out("ann"), ["msg-1.json"]);
    bench.send("ann", "msg-3", Status::Pending);
    assert_eq!(bench.out("ann"), ["msg-1.json", "msg-3.json"]);
}

#[test]
fn an_exchange_that_a_crash_interrupted_is_completed() {
    let bench = Bench::new();
    bench.send("ann", "msg-1", Status::Pending);
    // The crash came right after the exchange.
    let (dir, draft) =
        (bench.home.path().join("messages/app/ann"), bench.links.dirs.out().join(".ann.link"));
    fs::rename(&dir, &draft).unwrap();
    recover(&bench.links.dirs).unwrap();
    assert_eq!(bench.out("ann"), ["msg-1.json"]);
    assert!(!draft.exists());
    // The name is exchanged again before the recovery.
    bench.send("bob", "msg-2", Status::Pending);
    fs::rename(
        bench.home.path().join("messages/app/bob"),
        bench.links.dirs.out().join(".bob.link"),
    )
    .unwrap();
    bench.send("bob", "msg-3", Status::Pending);
    bench.make(&["bob"], &[], &[]);
    assert_eq!(bench.out("bob"), ["msg-2.json", "msg-3.json"]);
}

#[test]
fn foreign_entries_stay_and_are_reported() {
    let bench = Bench::new();
    let messages = bench.home.path().join("messages/app");
    fs::create_dir_all(&messages).unwrap();
    symlink("/elsewhere", messages.join("ann")).unwrap();
    fs::write(messages.join("bob"), "").unwrap();
    let failed = bench.make(&["ann", "bob", "cid"], &[], &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["ann", "bob"]);
    assert!(failed["ann"].contains("is not a link of the bridge"), "{failed:?}");
    assert!(bench.is_link("cid"));
}

#[test]
fn links_are_replaced_after_the_home_was_moved() {
    let bench = Bench::new();
    bench.make(&["ann"], &[], &[]);
    let link = bench.home.path().join("messages/app/ann");
    fs::remove_file(&link).unwrap();
    symlink("/old/home/.multiclaude-hybrid/bridge/repos/acme/app/out/ann", &link).unwrap();
    assert_eq!(bench.make(&["ann"], &[], &[]), BTreeMap::new());
    assert_eq!(fs::read_link(&link).unwrap(), bench.links.target("ann"));
}
