//! A control group (version 2) for a worker, where this machine lets us make one. It
//! limits memory, processor and processes, and ends them all at once.

use crate::job::Cgroup;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the groups of workers are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    path: PathBuf,
    controllers: Vec<String>,
}

impl Base {
    /// Finds out whether groups can be made beside this process, and what they limit.
    /// Where this process is alone in its group, as a service with delegation is, it
    /// moves into a group of its own, so that others can have limits.
    pub fn find() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let root = mount_of(&mounts)?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = root.join(own);
        let alone = fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|processes| {
            processes.split_whitespace().eq([std::process::id().to_string()])
        });
        if alone && !own.is_empty() {
            let runner = path.join("runner");
            let _ = fs::create_dir(&runner);
            let _ = fs::write(runner.join("cgroup.procs"), "0");
        }
        for controller in ["+memory", "+cpu", "+pids"] {
            let _ = fs::write(path.join("cgroup.subtree_control"), controller);
        }
        let controllers = fs::read_to_string(path.join("cgroup.subtree_control")).ok()?;
        let controllers = controllers.split_whitespace().map(str::to_owned).collect();
        // The only proof is to make one.
        let probe = path.join(format!("multiclaude-hybrid-{}", std::process::id()));
        fs::create_dir(&probe).ok()?;
        let kills = probe.join("cgroup.kill").exists();
        fs::remove_dir(&probe).ok()?;
        kills.then_some(Self { path, controllers })
    }

    /// The group of one worker.
    pub fn group(&self, id: &str) -> PathBuf {
        self.path.join(format!("multiclaude-hybrid-{id}"))
    }

    /// Is this limited in groups here? `memory`, `cpu` or `pids`.
    pub fn limits(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// Where version 2 is mounted.
fn mount_of(mounts: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    mount.split_whitespace().nth(4).map(PathBuf::from)
}

/// A worker's group.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes a group; with what of it this machine turns out not to enforce.
    pub fn create(wanted: Option<&Cgroup>) -> (Option<Self>, Vec<String>) {
        let Some(wanted) = wanted else {
            return (None, Vec::new());
        };
        if let Err(error) = fs::create_dir(&wanted.path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return (None, vec![format!("no control group: {error}")]);
        }
        let limits = [
            ("memory", "memory.max", wanted.memory.map(|bytes| bytes.to_string())),
            ("cpu", "cpu.max", wanted.cpu_milli.map(|milli| format!("{} 100000", milli * 100))),
            ("processes", "pids.max", wanted.processes.map(|count| count.to_string())),
        ];
        let mut not = Vec::new();
        for (name, file, limit) in limits {
            if let Some(limit) = limit
                && fs::write(wanted.path.join(file), limit).is_err()
            {
                not.push(name.to_owned());
            }
        }
        // Memory that is swapped out is memory, too.
        let _ = fs::write(wanted.path.join("memory.swap.max"), "0");
        (Some(Self { path: wanted.path.clone() }), not)
    }

    /// The group of a worker whose supervisor is gone.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Ends all its processes.
    pub fn kill(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// How many processes are in it.
    pub fn count(&self) -> u64 {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        processes.lines().count() as u64
    }

    /// Removes it.
    pub fn remove(&self) {
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_found_among_the_mounts() {
        let mounts = "30 20 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 20 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("30 20 0:26 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
