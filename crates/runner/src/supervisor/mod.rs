//! The small process that one worker runs under. It needs neither the runner nor the
//! coordinator. It ends the worker at its timeout, when its directory grows too large,
//! when it is asked to, and, if another runner may get the request, at the end of the
//! lease. It leaves no process behind, and records how the worker ended.
//!
//! It has no async runtime and no token. Its standard input is the worker's lock, which
//! the runner took before it started this process: while the lock is free, no supervisor
//! runs.

mod cgroup;
mod enter;
mod output;
mod tree;

pub use cgroup::{Base, Group};
pub use enter::enter;
pub use output::tail;
pub use tree::{ancestors, kill_marked};

use crate::deadline::{self, Moment};
use crate::dirs::WorkerDirs;
use crate::job::{self, End, Job, Started, Step, Stop};
use multiclaude_hybrid_bridge::hop::Process;
use output::Output;
use rustix::process::{
    DumpableBehavior, Pid, Signal, getpid, kill_process_group, set_child_subreaper,
    set_dumpable_behavior, setsid,
};
use std::fs;
use std::io::{self, ErrorKind, PipeReader, pipe};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The wait between two checks, if the worker ends with its lease.
const TICK_LEASE: Duration = Duration::from_millis(25);
/// The wait between two checks otherwise.
const TICK: Duration = Duration::from_millis(200);
/// How long a worker may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long a cleanup step may take.
const CLEANUP: Duration = Duration::from_secs(30);
/// How often a cleanup step is tried.
const CLEANUPS: usize = 3;
/// The shortest wait between two counts of a directory's bytes.
const DISK: Duration = Duration::from_secs(5);
/// How long the last output may take to arrive after all processes have ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Runs the worker with the directory `root` to its end.
///
/// # Errors
/// The job cannot be read, or nothing can be written.
pub fn supervise(root: &Path) -> io::Result<()> {
    // It fails if this process leads a group already, which is enough.
    let _ = setsid();
    set_child_subreaper(Some(getpid()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let job: Job =
        job::read(&root.join("job.json"))?.ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    let given = job.work.parent().unwrap_or(&job.work).to_owned();
    let dirs = WorkerDirs::at(root.to_owned(), given);
    let supervisor = Process::of(std::process::id())
        .ok_or_else(|| io::Error::other("/proc does not show this process"))?;
    let (group, failed) = Group::create(job.cgroup.as_ref());
    let not_enforced = job.not_enforced.iter().cloned().chain(failed).collect();
    job::write(&dirs.started(), &Started { supervisor, not_enforced })?;
    let mut run = Run::new(job, dirs, group)?;
    let end = run.steps();
    run.store_end(&end);
    Ok(())
}

struct Run {
    job: Job,
    dirs: WorkerDirs,
    group: Option<Group>,
    output: Arc<Output>,
    began: Instant,
    lease: Option<Moment>,
    too_large: Arc<AtomicBool>,
    program: PathBuf,
}

/// How a step ended.
enum Ended {
    OnItsOwn(ExitStatus),
    Stopped(Stop, Option<ExitStatus>),
}

impl Run {
    fn new(job: Job, dirs: WorkerDirs, group: Option<Group>) -> io::Result<Self> {
        let output = Arc::new(Output::create(&dirs.output(), job.output_max)?);
        let too_large = Arc::new(AtomicBool::new(false));
        let (work, most, flag) = (job.work.clone(), job.disk_max, Arc::clone(&too_large));
        thread::spawn(move || watch_disk(&work, most, &flag));
        // The running program itself, even if an upgrade replaces its file.
        let program = PathBuf::from("/proc/self/exe");
        let began = Instant::now();
        Ok(Self { job, dirs, group, output, began, lease: None, too_large, program })
    }

    fn steps(&mut self) -> End {
        let mut end = End::failed("it has no steps");
        for (index, step) in self.job.steps.clone().iter().enumerate() {
            end = match self.step(index) {
                Ok(Ended::OnItsOwn(status)) => ended(None, Some(status)),
                Ok(Ended::Stopped(stop, status)) => ended(Some(stop), status),
                Err(error) => End::failed(format!("no process can be started: {error}")),
            };
            end.program = step.command.first().cloned().unwrap_or_default();
            end.engine.clone_from(&self.job.engine);
            if !end.is_success() {
                break;
            }
        }
        let is_clean = clean_up(&self.job);
        end.remaining = tree::kill_descendants(self.group.as_ref(), None).max(u64::from(!is_clean));
        if let Some(group) = &self.group {
            group.remove();
        }
        end.took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        end.printed = self.output.printed();
        end
    }

    fn step(&mut self, index: usize) -> io::Result<Ended> {
        let (from, to) = pipe()?;
        let mut child = {
            let mut command = Command::new(&self.program);
            command.args(["runner", "enter"]).arg(self.dirs.root()).arg(index.to_string());
            command.stdin(Stdio::null()).stdout(to.try_clone()?).stderr(to);
            command.spawn()?
        };
        let pid = Pid::from_child(&child);
        let read = self.read(from);
        let (sender, exited) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait()));
        let ended = self.watch(pid, &exited)?;
        // End its background processes, too.
        tree::kill_descendants(self.group.as_ref(), Some(pid));
        let _ = read.recv_timeout(LAST_OUTPUT);
        Ok(ended)
    }

    /// Copies a pipe to the output; the receiver is notified of the pipe's end.
    fn read(&self, from: PipeReader) -> Receiver<()> {
        let output = Arc::clone(&self.output);
        let (sender, read) = mpsc::channel();
        thread::spawn(move || {
            output.copy(from);
            let _ = sender.send(());
        });
        read
    }

    fn watch(&mut self, pid: Pid, exited: &Receiver<io::Result<ExitStatus>>) -> io::Result<Ended> {
        let tick = if self.job.ends_with_lease { TICK_LEASE } else { TICK };
        let mut reaped = Instant::now();
        loop {
            match exited.recv_timeout(tick) {
                Ok(status) => return status.map(Ended::OnItsOwn),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("its exit status is lost"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(stop) = self.stop() {
                return Ok(Ended::Stopped(stop, self.end_step(stop, pid, exited)));
            }
            if reaped.elapsed() > DISK {
                tree::reap(Some(pid));
                reaped = Instant::now();
            }
        }
    }

    /// The reason to stop the worker now, if there is one.
    fn stop(&mut self) -> Option<Stop> {
        if self.job.ends_with_lease && self.lease.is_none_or(Moment::is_past) {
            // It may have been renewed since the last look.
            self.lease = deadline::read(&self.dirs.lease());
            if self.lease.is_none_or(Moment::is_past) {
                return Some(Stop::LeaseExpired);
            }
        }
        if let Ok(Some(stop)) = job::read(&self.dirs.stop()) {
            return Some(stop);
        }
        // The runner's directories were removed: no runner will follow this worker.
        if self.dirs.job().try_exists().is_ok_and(|there| !there) {
            return Some(Stop::LeaseLost);
        }
        if self.began.elapsed() > Duration::from_secs(self.job.timeout_secs) {
            return Some(Stop::Timeout);
        }
        self.too_large.load(Ordering::Relaxed).then_some(Stop::Disk)
    }

    fn end_step(
        &mut self,
        stop: Stop,
        pid: Pid,
        exited: &Receiver<io::Result<ExitStatus>>,
    ) -> Option<ExitStatus> {
        if stop.is_gentle() {
            let _ = kill_process_group(pid, Signal::TERM);
            let until = Instant::now() + GRACE;
            // The lease can run out meanwhile.
            while Instant::now() < until && !(self.stop() == Some(Stop::LeaseExpired)) {
                if let Ok(status) = exited.recv_timeout(TICK_LEASE) {
                    return status.ok();
                }
            }
        }
        if stop.is_gentle() && self.job.engine.is_some() {
            // A killed engine would leave the control groups of its container.
            clean_up(&self.job);
        }
        tree::kill_descendants(self.group.as_ref(), Some(pid));
        exited.recv_timeout(GRACE).ok()?.ok()
    }

    /// Writes the end. On a full disk it tries again until the end is on disk, since the
    /// worker's slot is not free before that, unless the directories were removed.
    fn store_end(&self, end: &End) {
        while job::write(&self.dirs.end(), end).is_err() && self.dirs.job().exists() {
            self.output.free_space();
            thread::sleep(Duration::from_secs(1));
        }
    }
}

fn ended(stopped: Option<Stop>, status: Option<ExitStatus>) -> End {
    let code = status.and_then(|status| status.code());
    let signal = status.and_then(|status| status.signal());
    let error = None;
    End { stopped, code, signal, error, ..End::failed("") }
}

/// Runs the cleanup steps of a job; returns whether all succeeded.
pub fn clean_up(job: &Job) -> bool {
    // An engine that was interrupted, or waits for another process, may succeed later.
    let fails = |step: &&Step| !(0..CLEANUPS).any(|_| run(step));
    job.cleanup.iter().filter(fails).count() == 0
}

/// Runs a cleanup step for at most [`CLEANUP`]; returns whether it succeeded.
fn run(step: &Step) -> bool {
    let Some((program, args)) = step.command.split_first() else {
        return true;
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(&step.dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let until = Instant::now() + CLEANUP;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Ok(Some(status)) => return status.success(),
            Err(_) => return false,
        }
    }
}

/// Watches the size of a directory. A large one is counted less often.
fn watch_disk(dir: &Path, most: u64, too_large: &AtomicBool) {
    loop {
        let began = Instant::now();
        if size(dir, most) > most {
            too_large.store(true, Ordering::Relaxed);
            return;
        }
        thread::sleep(DISK.max(began.elapsed() * 20));
    }
}

/// The bytes that the files of a directory take, counted until they exceed `most`.
fn size(dir: &Path, most: u64) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let (mut dirs, mut size) = (vec![dir.to_owned()], 0);
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            // An unreadable directory would hide files from the count.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return u64::MAX,
            entries => entries,
        };
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            size += found.blocks() * 512;
            if found.is_dir() {
                dirs.push(entry.path());
            }
        }
        if size > most {
            break;
        }
    }
    size
}
