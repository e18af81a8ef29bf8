//! The small process that one worker runs under. It needs neither the runner nor the
//! coordinator: it ends the worker at its timeout, when its directory grows too large,
//! when it is asked to, and, for a request that another runner may get, when the lease
//! has run out. It leaves no process behind, and writes how the worker ended.
//!
//! It has no runtime and no token. Its standard input is the worker's lock, which the
//! runner took before it started this process: whoever gets the lock knows that no
//! supervisor runs.

mod cgroup;
mod enter;
mod output;
mod tree;

pub use cgroup::{Base, Group};
pub use enter::enter;
pub use output::tail;
pub use tree::{ancestors, sweep};

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

/// Between two looks at the clock, where the lease ends the worker.
const TICK_LEASE: Duration = Duration::from_millis(25);
/// Between two looks otherwise.
const TICK: Duration = Duration::from_millis(200);
/// How long a worker has after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long what cleans up may take.
const CLEANUP: Duration = Duration::from_secs(30);
/// How often it is tried.
const CLEANUPS: usize = 3;
/// Between two counts of a directory's bytes, at least.
const DISK: Duration = Duration::from_secs(5);
/// How long the last output may take to come in after all processes have ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Runs the worker whose directory `root` is, to its end.
///
/// # Errors
/// The job cannot be read, or nothing can be written.
pub fn supervise(root: &Path) -> io::Result<()> {
    // It fails in a process that leads a group already, which is as good.
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
    run.keep(&end);
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
    ByItself(ExitStatus),
    Stopped(Stop, Option<ExitStatus>),
}

impl Run {
    fn new(job: Job, dirs: WorkerDirs, group: Option<Group>) -> io::Result<Self> {
        let output = Arc::new(Output::create(&dirs.output(), job.output_max)?);
        let too_large = Arc::new(AtomicBool::new(false));
        let (work, most, flag) = (job.work.clone(), job.disk_max, Arc::clone(&too_large));
        thread::spawn(move || watch_disk(&work, most, &flag));
        // By its inode: an upgrade may replace the file meanwhile.
        let program = PathBuf::from("/proc/self/exe");
        let began = Instant::now();
        Ok(Self { job, dirs, group, output, began, lease: None, too_large, program })
    }

    fn steps(&mut self) -> End {
        let mut end = End::failed("it has no steps");
        for (index, step) in self.job.steps.clone().iter().enumerate() {
            end = match self.step(index) {
                Ok(Ended::ByItself(status)) => ended(None, Some(status)),
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
        end.remaining = tree::end_all(self.group.as_ref(), None).max(u64::from(!is_clean));
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
        // What it has started in the background ends with it.
        tree::end_all(self.group.as_ref(), Some(pid));
        let _ = read.recv_timeout(LAST_OUTPUT);
        Ok(ended)
    }

    /// Copies what comes out of a pipe; the receiver hears of its end.
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
                Ok(status) => return status.map(Ended::ByItself),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("its end was not seen"));
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

    /// Why the worker has to be stopped now.
    fn stop(&mut self) -> Option<Stop> {
        if self.job.ends_with_lease && self.lease.is_none_or(Moment::is_past) {
            // It may have been renewed since the last look.
            self.lease = deadline::read(&self.dirs.lease());
            if self.lease.is_none_or(Moment::is_past) {
                return Some(Stop::LeaseOver);
            }
        }
        if let Ok(Some(stop)) = job::read(&self.dirs.stop()) {
            return Some(stop);
        }
        // Somebody has removed the runner's directories: no runner will ask for it.
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
            while Instant::now() < until && !(self.stop() == Some(Stop::LeaseOver)) {
                if let Ok(status) = exited.recv_timeout(TICK_LEASE) {
                    return status.ok();
                }
            }
        }
        if stop.is_gentle() && self.job.engine.is_some() {
            // An engine that is killed leaves the control groups of its container.
            clean_up(&self.job);
        }
        tree::end_all(self.group.as_ref(), Some(pid));
        exited.recv_timeout(GRACE).ok()?.ok()
    }

    /// Writes the end. A full disk is waited out: the slot of a worker is not free
    /// before its end is on disk. Directories that were removed are not.
    fn keep(&self, end: &End) {
        while job::write(&self.dirs.end(), end).is_err() && self.dirs.job().exists() {
            self.output.give_way();
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

/// Ends what the steps of a job have started outside of their own processes; whether
/// that succeeded.
pub fn clean_up(job: &Job) -> bool {
    // An engine that is interrupted, or waits for another process, may succeed later.
    let fails = |step: &&Step| !(0..CLEANUPS).any(|_| run(step));
    job.cleanup.iter().filter(fails).count() == 0
}

/// Runs a step that cleans up, whether with success; it is given up after a while.
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

/// Watches how large a directory is. A large one is counted less often.
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

/// Bytes that the files of a directory take; counted until it is more than `most`.
fn size(dir: &Path, most: u64) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let (mut dirs, mut size) = (vec![dir.to_owned()], 0);
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            // Nobody hides files from the count.
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
