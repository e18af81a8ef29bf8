//! podman with a storage of its own, and an image that is made of programs of this
//! machine: a shell, and the binary with the libraries that it needs.

use crate::machine::program;
use crate::process::{LIMIT, output};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const IMAGE: &str = "localhost/worker";
/// The default command of the image.
const COMMAND: &str =
    "CMD base64 -w0 \"$MULTICLAUDE_HYBRID_TASK_FILE\" >\"$MULTICLAUDE_HYBRID_SUMMARY_FILE\"";
/// How long containers may take to be removed when a test has ended.
const REMOVED: Duration = Duration::from_secs(10);

/// An engine for one test. It shares nothing with the podman of who runs the tests.
#[derive(Debug)]
pub struct Containers {
    dir: tempfile::TempDir,
}

impl Containers {
    /// One that has the image.
    pub fn new() -> Self {
        // Its sockets' paths must be short.
        let containers = Self { dir: tempfile::Builder::new().prefix("box").tempdir().unwrap() };
        let archive = archive().to_str().unwrap();
        containers.podman(&["import", "--quiet", "--change", COMMAND, archive, IMAGE]);
        containers
    }

    /// The engine's own flags.
    fn global(&self) -> Vec<String> {
        let at =
            |flag: &str, name: &str| format!("--{flag}={}", self.dir.path().join(name).display());
        let places = [at("root", "root"), at("runroot", "run"), at("tmpdir", "tmp")];
        places.into_iter().chain(["--runtime", "runc"].map(str::to_owned)).collect()
    }

    /// The flags of a runner with this engine and image.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--executor=container".to_owned(), format!("--image={IMAGE}")];
        for flag in self.global() {
            flags.extend(["--engine-flag".to_owned(), flag]);
        }
        flags.extend(["--network=none", "--run-flag=--pull=never"].map(str::to_owned));
        if geteuid().is_root() {
            // podman would raise the limits, which a root without that right cannot.
            let limits =
                ["nofile", "nproc"].map(|name| format!("--run-flag=--ulimit={name}=1024:1024"));
            flags.extend(limits);
        }
        flags
    }

    /// Runs podman, and gives what it prints.
    #[track_caller]
    pub fn podman(&self, args: &[&str]) -> String {
        let mut podman = Command::new("podman");
        let ran = output(podman.args(self.global()).args(args), b"", LIMIT);
        assert!(ran.status.success(), "podman {args:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// The containers that there are, running or not, also those half made.
    #[track_caller]
    pub fn all(&self) -> String {
        self.podman(&["ps", "--all", "--external", "--quiet"])
    }

    /// Can this engine limit that here? `memory` or `pids`.
    #[track_caller]
    pub fn limits(&self, controller: &str) -> bool {
        let format = "{{range .Host.CgroupControllers}}{{.}} {{end}}";
        let controllers = self.podman(&["info", "--format", format]);
        controllers.split_whitespace().any(|known| known == controller)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        // Supervisors of a test that has failed remove theirs themselves.
        let until = Instant::now() + REMOVED;
        let podman = |args: &[&str]| {
            let mut podman = Command::new("podman");
            podman.args(self.global()).args(args).output().is_ok_and(|ran| ran.stdout.is_empty())
        };
        while !podman(&["ps", "--all", "--external", "--quiet"]) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        podman(&["rm", "--all", "--force", "--time=0"]);
        if !geteuid().is_root() {
            // Its files belong to other users of its name space.
            podman(&["unshare", "rm", "-rf", &self.dir.path().join("root").to_string_lossy()]);
        }
        // The last of these supervisors may still write.
        while fs::remove_dir_all(self.dir.path()).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The image's files, packed once.
fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let stage = tempfile::tempdir().unwrap();
        let root = stage.path().join("root");
        for dir in ["bin", "etc", "run", "tmp", "work", "proc", "sys", "dev", "usr/bin"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy(printed("sh", &["-c", "command -v busybox"]).trim(), root.join("bin/busybox"))
            .unwrap();
        for applet in printed("busybox", &["--list"]).lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let client = root.join("usr/bin/multiclaude-hybrid");
        let binary = program("multiclaude-hybrid");
        let binary = binary.to_str().unwrap();
        // Nine tenths of it would be debug information.
        printed("strip", &["-o", client.to_str().unwrap(), binary]);
        for library in printed("ldd", &[binary]).lines().filter_map(library) {
            let copy = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
        let archive = Path::new(binary).with_file_name("worker-image.tar");
        let packed = stage.path().join("image.tar").to_string_lossy().into_owned();
        let root = root.to_string_lossy().into_owned();
        printed("tar", &["-C", &root, "--owner=0", "--group=0", "-cf", &packed, "."]);
        // In one step: another test process may use it.
        let beside = archive.with_extension(std::process::id().to_string());
        fs::copy(packed, &beside).unwrap();
        fs::rename(beside, &archive).unwrap();
        archive
    })
}

/// The file in a line of `ldd`.
fn library(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with('/'))
}

fn printed(program: &str, args: &[&str]) -> String {
    let ran = output(Command::new(program).args(args), b"", LIMIT);
    assert!(ran.status.success(), "{program} {args:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}
