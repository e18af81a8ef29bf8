//! Prepares the process of a step: session, control group, environment and user. Then it
//! executes the step's program.

use crate::job::{self, Job};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Executes the step with this number of the worker with the directory `root`. It returns
/// only an error.
pub fn enter(root: &Path, step: usize) -> io::Error {
    match prepared(root, step) {
        Ok(mut command) => {
            let program = command.get_program().to_string_lossy().into_owned();
            let error = command.exec();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        }
        Err(error) => error,
    }
}

fn prepared(root: &Path, step: usize) -> io::Result<Command> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let job: Job = job::read(&root.join("job.json"))?.ok_or_else(missing)?;
    let step = job.steps.get(step).ok_or_else(missing)?;
    let (program, args) = step.command.split_first().ok_or_else(missing)?;
    setsid()?;
    // If the supervisor is killed, this process is, too. A change of user resets that.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(group) = &job.cgroup
        && group.path.exists()
    {
        fs::write(group.path.join("cgroup.procs"), "0")?;
    }
    let mut command = Command::new(program);
    command.args(args).current_dir(&step.dir);
    if let Some(names) = &job.inherited {
        command.env_clear();
        command.envs(names.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    }
    if let Some(user) = &job.user {
        // Its supplementary groups are dropped, too.
        command.uid(user.uid).gid(user.gid);
        command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    }
    command.envs(&job.set);
    Ok(command)
}
