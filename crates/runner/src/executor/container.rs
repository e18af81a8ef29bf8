//! Workers in containers, run by the command lines of podman or docker. A container has
//! a read-only root, limits and no capabilities. Of this machine it has only its own
//! directory at `/work`, its input at `/run/multiclaude-hybrid`, and named secrets.

use super::branches::branches;
use super::process::{values, variables};
use super::{Assignment, Engine, Limits, Template};
use crate::job::{Job, Step};
use multiclaude_hybrid_client::protocol::Repo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The worker's own directory in a container.
const WORK: &str = "/work";
/// The worker's input in a container, read-only.
const GIVEN: &str = "/run/multiclaude-hybrid";
/// The label by which a worker's container is found.
const LABEL: &str = "dev.multiclaude-hybrid.worker";

/// How to run containers.
#[derive(Debug, Clone)]
pub struct Container {
    /// podman or docker.
    pub engine: Engine,
    /// The image, unless `images` has another one for the repo.
    pub image: Option<String>,
    /// Images of single repos.
    pub images: BTreeMap<Repo, String>,
    /// The command to run; the image's own, if absent.
    pub command: Option<Template>,
    /// Further flags of `run`.
    pub flags: Vec<String>,
    /// The network, as the engine names it.
    pub network: Option<String>,
    /// Variables of the runner that workers get.
    pub inherited: Vec<String>,
    /// Files to mount at `/run/secrets/NAME`, by name.
    pub secrets: BTreeMap<String, PathBuf>,
}

/// The name of a worker's container.
pub fn name(id: &str) -> String {
    format!("multiclaude-hybrid-{id}")
}

impl Container {
    pub(super) fn job(&self, given: &Assignment<'_>, limits: &Limits) -> Result<Job, String> {
        let (request, work) = (given.request, given.dirs.files());
        let image = self.images.get(&request.repo).or(self.image.as_ref());
        let image =
            image.ok_or_else(|| format!("this runner has no image for {}", request.repo))?;
        let (_, push_to) = branches(request)?;
        let branch = push_to.map_or_else(|| format!("work/{}", given.name), str::to_owned);
        let id = request.id.as_str();
        let mut set = variables(given, Path::new(GIVEN), Path::new(WORK));
        set.insert("MULTICLAUDE_HYBRID_BRANCH".to_owned(), branch.clone());
        let start = request.metadata.get("branch").cloned();
        set.extend(start.map(|start| ("MULTICLAUDE_HYBRID_START".to_owned(), start)));

        let mut command = self.engine.command(&["run"]);
        command.extend(self.run_flags(id, given.dirs.given(), &work, limits)?);
        // Only the names: arguments are visible to other processes.
        command.extend(set.keys().chain(&self.inherited).map(|name| format!("--env={name}")));
        command.extend(self.flags.iter().cloned());
        command.push(image.clone());
        if let Some(template) = &self.command {
            let here = given.dirs.given().to_string_lossy();
            let there = |value: String| {
                value.replace(work.to_string_lossy().as_ref(), WORK).replace(here.as_ref(), GIVEN)
            };
            let values = values(given, &branch);
            let values = values.into_iter().map(|(name, value)| (name, there(value))).collect();
            command.extend(template.fill(&values));
        }
        let mut remove = self.engine.command(&["rm", "--force"]);
        // docker succeeds without such a flag if there is no container.
        remove.extend(self.engine.is_podman.then(|| "--ignore".to_owned()));
        remove.push(name(id));
        Ok(Job {
            id: id.to_owned(),
            work: work.clone(),
            steps: vec![Step { command, dir: work }],
            // The worker's directory may have been removed.
            cleanup: vec![Step { command: remove, dir: PathBuf::from("/") }],
            inherited: None,
            set,
            timeout_secs: limits.timeout_of(request),
            output_max: limits.output,
            disk_max: limits.disk,
            ends_with_lease: request.retry,
            cgroup: None,
            not_enforced: self.engine.not_enforced.clone(),
            engine: Some(self.engine.name().to_owned()),
            user: None,
        })
    }

    fn run_flags(
        &self,
        id: &str,
        given: &Path,
        work: &Path,
        limits: &Limits,
    ) -> Result<Vec<String>, String> {
        let mut flags = vec![
            format!("--name={}", name(id)),
            format!("--label={LABEL}={id}"),
            // The supervisor keeps the output; the engine keeps no second copy.
            "--log-driver=none".to_owned(),
            "--read-only".to_owned(),
            "--cap-drop=all".to_owned(),
            "--security-opt=no-new-privileges".to_owned(),
            "--tmpfs=/tmp:exec,nosuid,nodev,mode=1777".to_owned(),
            // The supervisor has already given the container time to end.
            "--stop-timeout=0".to_owned(),
            volume(work, WORK)?,
            volume(given, &format!("{GIVEN}:ro"))?,
            format!("--workdir={WORK}"),
        ];
        // By default podman passes on the proxy variables of this machine, which may hold
        // a password.
        flags.extend(self.engine.is_podman.then(|| "--http-proxy=false".to_owned()));
        flags.extend(self.engine.user.as_ref().map(|user| format!("--user={user}")));
        let memory = limits.memory.filter(|_| self.engine.enforces("memory"));
        flags.extend(memory.map(|bytes| format!("--memory={bytes}b")));
        flags.extend(memory.map(|bytes| format!("--memory-swap={bytes}b")));
        let cores = |milli: u64| format!("--cpus={}.{:03}", milli / 1000, milli % 1000);
        flags.extend(limits.cpu_milli.filter(|_| self.engine.enforces("cpu")).map(cores));
        let processes = limits.processes.filter(|_| self.engine.enforces("processes"));
        flags.extend(processes.map(|count| format!("--pids-limit={count}")));
        flags.extend(self.network.as_ref().map(|network| format!("--network={network}")));
        for (name, file) in &self.secrets {
            flags.push(volume(file, &format!("/run/secrets/{name}:ro"))?);
        }
        Ok(flags)
    }
}

/// The flag that mounts a file or directory of this machine at `there` in a container.
fn volume(here: &Path, there: &str) -> Result<String, String> {
    let here = here.to_string_lossy();
    if here.contains(':') {
        return Err(format!("{here} has a colon, which the path of a mount must not have"));
    }
    Ok(format!("--volume={here}:{there}"))
}
