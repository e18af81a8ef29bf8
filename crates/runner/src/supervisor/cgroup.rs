//! A control group (version 2) for a worker, if this machine allows one. It limits memory,
//! processor time and processes, and can end all processes at once.

use crate::job::Cgroup;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The parent of the workers' groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    path: PathBuf,
    controllers: Vec<String>,
}

impl Base {
    /// Finds out whether groups can be made next to this process, and what they limit.
    /// If this process is alone in its group, as a service with delegation is, it moves
    /// into a subgroup, so that other subgroups can have limits.
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
        // Only creating one shows whether it is possible.
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

    /// Is this controller available: `memory`, `cpu` or `pids`?
    pub fn limits(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// The mount point of version 2.
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
    /// Creates a group; returns also the limits that could not be set.
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
        let mut not_enforced = Vec::new();
        for (name, file, limit) in limits {
            if let Some(limit) = limit
                && fs::write(wanted.path.join(file), limit).is_err()
            {
                not_enforced.push(name.to_owned());
            }
        }
        // Swapped memory must not evade the limit.
        let _ = fs::write(wanted.path.join("memory.swap.max"), "0");
        (Some(Self { path: wanted.path.clone() }), not_enforced)
    }

    /// The group of a worker whose supervisor is gone.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Ends all its processes.
    pub fn kill(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// The number of its processes.
    pub fn count(&self) -> u64 {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        processes.lines().count() as u64
    }

    /// Removes the group, which must be empty.
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
