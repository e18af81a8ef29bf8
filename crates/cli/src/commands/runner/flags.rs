//! The flags of `runner run`.

use crate::options::{TIME_MAX, time};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const PLACEHOLDERS: &str = "Placeholders of COMMAND, which no shell reads:
  {task_file}     the file with the task
  {task}          the task's first line, and the path of that file
  {summary_file}  where the worker may write its summary
  {name}          the name under which the worker is registered
  {id}            the request's id
  {repo}          owner/repo
  {branch}        the branch to start from
  {push_to}       the branch to push to
  {work}          the worker's own directory
  {socket}        the socket through which it sends and receives messages
Most are in its environment, too: MULTICLAUDE_HYBRID_TASK_FILE and others.";

#[derive(Debug, Args)]
#[command(after_help = PLACEHOLDERS)]
pub(super) struct RunArgs {
    /// The repos: multiclaude's names, or owner/repo
    #[arg(required = true, value_name = "REPO")]
    pub(super) repos: Vec<String>,
    /// Run workers in this way
    #[arg(long, value_enum, default_value_t)]
    pub(super) executor: Kind,
    /// Run at most this many workers at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) max_workers: u16,
    /// A label that requests may ask for; may be repeated
    #[arg(long = "label", value_name = "LABEL")]
    pub(super) labels: Vec<String>,
    /// Ask for requests this often while a worker may be started
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time(1..=3600))]
    pub(super) poll: Duration,
    /// Listen for pushed requests at this address; needs --public-url
    #[arg(long, value_name = "ADDRESS:PORT", requires = "public_url")]
    pub(super) listen: Option<SocketAddr>,
    /// The URL at which the coordinator reaches the listener
    #[arg(long, value_name = "URL", requires = "listen")]
    pub(super) public_url: Option<Url>,
    /// End a worker after this time
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = time(1..=604_800))]
    pub(super) worker_timeout: Duration,
    /// Keep the last part of a worker's output, of this size: bytes, or 512K, 10M, 1G (powers of
    /// 1024)
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = size)]
    pub(super) max_output: u64,
    /// End a worker whose directory grows larger than this
    #[arg(long, value_name = "SIZE", default_value = "20G", value_parser = size)]
    pub(super) max_disk: u64,
    /// Limit the memory of a worker, where this machine can
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) memory: Option<u64>,
    /// Limit the cores of a worker, where this machine can
    #[arg(long, value_name = "CORES", value_parser = cores)]
    pub(super) cpus: Option<u64>,
    /// Limit the processes of a worker, where this machine can
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(super) processes: u64,
    /// Let workers run this long after the first Ctrl-C or SIGTERM before they are stopped
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time(0..=TIME_MAX))]
    pub(super) drain: Duration,
    /// Leave a request to other runners after this time without contact to the coordinator
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time(30..=3600))]
    pub(super) lease: Duration,
    /// Make the directories of workers in this directory [default: in ~/.multiclaude-hybrid/runner]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) work_dir: Option<PathBuf>,
    /// Keep workers' directories after their end
    #[arg(long)]
    pub(super) keep_work: bool,
    /// Process, container: pass on this variable of the environment; may be repeated
    #[arg(long = "env", value_name = "NAME")]
    pub(super) variables: Vec<String>,
    /// Process: run as this user (the runner has to be root)
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Process: clone the repo for COMMAND too, and run it in the clone
    #[arg(long)]
    pub(super) clone: bool,
    /// Process: clone from this URL
    #[arg(long, value_name = "URL", default_value = "https://github.com/{repo}.git")]
    pub(super) clone_url: String,
    /// Container: the image, IMAGE or REPO=IMAGE; may be repeated
    #[arg(long = "image", value_name = "IMAGE")]
    pub(super) images: Vec<String>,
    /// Container: podman or docker
    #[arg(long, value_name = "PROGRAM", default_value = "podman")]
    pub(super) engine: String,
    /// Container: a global flag of the engine; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub(super) engine_flag: Vec<String>,
    /// Container: a further flag of its `run`; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub(super) run_flag: Vec<String>,
    /// Container: its network, as the engine names it
    #[arg(long, value_name = "NETWORK")]
    pub(super) network: Option<String>,
    /// Container: put this file at /run/secrets/NAME; may be repeated
    #[arg(long = "secret", value_name = "NAME=FILE")]
    pub(super) secrets: Vec<String>,
    /// Make no control groups, for tests
    #[arg(long, hide = true)]
    pub(super) no_control_groups: bool,
    /// Divide the coordinator's times, for tests
    #[arg(long, value_name = "N", hide = true, default_value_t = 1)]
    pub(super) time_scale: u32,
    /// The command of a worker [default: in a container the image's own; else a clone of the repo and
    /// `claude -p --dangerously-skip-permissions`, which never asks for permission]
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// How workers are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// As processes of this machine
    #[default]
    Process,
    /// In containers
    Container,
    /// By the multiclaude of this machine
    Multiclaude,
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number of bytes, or one with K, M or G".to_owned();
    let (digits, unit) = match text.to_ascii_uppercase() {
        text if text.ends_with('K') => (text, 1 << 10),
        text if text.ends_with('M') => (text, 1 << 20),
        text if text.ends_with('G') => (text, 1 << 30),
        text => (text + "B", 1),
    };
    let digits = digits.get(..digits.len() - 1).unwrap_or_default();
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|size| *size > 0).ok_or_else(wrong)
}

/// Thousandths of a core.
fn cores(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(cores) if (0.01..=1024.0).contains(&cores) => Ok((cores * 1000.0) as u64),
        _ => Err("must be a number of cores, from 0.01 to 1024".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_cores_have_units() {
        assert_eq!(
            (size("10"), size("2k"), size("3M"), size("1G")),
            (Ok(10), Ok(2048), Ok(3 << 20), Ok(1 << 30))
        );
        assert!(
            size("").is_err()
                && size("1.5G").is_err()
                && size("0").is_err()
                && size("99999999999G").is_err()
        );
        assert_eq!((cores("0.5"), cores("2")), (Ok(500), Ok(2000)));
        assert!(cores("0").is_err() && cores("many").is_err());
    }
}
