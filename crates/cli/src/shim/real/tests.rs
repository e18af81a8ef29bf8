use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Search;

struct Disk {
    root: tempfile::TempDir,
}

impl Disk {
    /// With this binary as `own/multiclaude-hybrid`.
    fn new() -> Self {
        let disk = Self { root: tempfile::tempdir().unwrap() };
        disk.program("own/multiclaude-hybrid", 0o755);
        disk
    }

    fn at(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn program(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn search(&self, dirs: &[&str]) -> Search {
        let at = |name: &&str| self.root.path().join(name);
        Search {
            name: "multiclaude",
            own: Some(self.at("own/multiclaude-hybrid")),
            own_dirs: vec![self.at("home/shim")],
            path: std::env::join_paths(dirs.iter().map(at)).unwrap(),
            passed: Vec::new(),
        }
    }
}

fn found(search: &Search) -> Option<PathBuf> {
    search.find().ok().map(|real| real.program)
}

#[test]
fn this_binary_is_never_found_by_any_kind_of_link() {
    let disk = Disk::new();
    let own = disk.at("own/multiclaude-hybrid");
    symlink(&own, disk.at("soft/multiclaude")).unwrap();
    fs::hard_link(&own, disk.at("hard/multiclaude")).unwrap();
    let real = disk.program("real/multiclaude", 0o755);
    assert_eq!(found(&disk.search(&["soft", "hard", "real"])), Some(real));
    assert_eq!(found(&disk.search(&["soft", "hard"])), None);
}

#[test]
fn files_that_cannot_be_run_are_skipped() {
    let disk = Disk::new();
    fs::create_dir_all(disk.at("dir/multiclaude")).unwrap();
    disk.program("plain/multiclaude", 0o644);
    symlink("/nowhere/at/all", disk.at("dangling/multiclaude")).unwrap();
    let real = disk.program("real/multiclaude", 0o755);
    assert_eq!(found(&disk.search(&["dir", "plain", "dangling", "missing", "real"])), Some(real));
}

#[test]
fn a_link_of_an_older_installation_is_not_the_real_program() {
    let disk = Disk::new();
    let older = disk.program("older/multiclaude-hybrid", 0o755);
    symlink(older, disk.at("home/shim/multiclaude")).unwrap();
    symlink(disk.at("home/shim"), disk.at("alias")).unwrap();
    let real = disk.program("real/multiclaude", 0o755);
    assert_eq!(found(&disk.search(&["home/shim", "alias", "real"])), Some(real));
}

#[test]
fn an_empty_entry_is_the_current_directory() {
    let disk = Disk::new();
    let mut search = disk.search(&[]);
    // Cargo runs tests in the package's directory; `src` can be entered, not run.
    search.path = "".into();
    search.name = "src";
    let not_found = search.find().unwrap_err();
    assert_eq!(not_found.searched, [Path::new(".")]);
}
