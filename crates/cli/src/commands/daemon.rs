//! Signals and logs of the two daemons, bridge and runner. A log is JSON lines in a file of
//! limited size, and plain lines on standard error.

use crate::failure::{Failure, Outcome, io};
use crate::session::Session;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::make_dir;
use multiclaude_hybrid_client::protocol::text::visible;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Bytes of a log before it is set aside; one older log is kept.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Show this many lines
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    lines: usize,
    /// Go on showing lines as they are written
    #[arg(long, short)]
    follow: bool,
}

/// A log file that is set aside when it is full.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path)
}

impl LogFile {
    fn new(path: PathBuf) -> std::io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size })
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.size > SIZE_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = open(&self.path)?;
            self.size = 0;
        }
        let written = self.file.write(line)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Standard error for log lines, which may quote text from elsewhere.
struct Visible;

impl Write for Visible {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        std::io::stderr().write_all(visible(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Logs of this process go there from now on.
pub(super) fn start(path: &Path) -> Outcome {
    let dir = path.parent().unwrap_or(path);
    make_dir(dir).map_err(io("create", dir))?;
    let file = LogFile::new(path.to_owned()).map_err(io("open", path))?;
    let json =
        fmt::layer().json().flatten_event(true).with_target(false).with_writer(Mutex::new(file));
    let plain = fmt::layer().with_target(false).with_ansi(false).with_writer(|| Visible);
    let started = tracing_subscriber::registry()
        .with(json.with_filter(LevelFilter::INFO))
        .with(plain.with_filter(LevelFilter::INFO))
        .try_init();
    started.map_err(|error| Failure::new(format!("cannot log: {error}")))
}

/// Runs a daemon with a runtime of its own. It writes files in there: one slow write must not
/// keep other messages waiting.
pub(super) async fn run<E, F>(
    name: &str,
    daemon: impl FnOnce(mpsc::Receiver<()>) -> F + Send + 'static,
) -> Outcome<Result<(), E>>
where
    E: From<std::io::Error> + Send + 'static,
    F: Future<Output = Result<(), E>>,
{
    let done = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // In a runner, one waits for each supervisor.
            .max_blocking_threads(2048)
            .enable_all()
            .build()?;
        let done = runtime.block_on(async { daemon(stops()?).await });
        // Threads that wait for supervisors do not keep it.
        runtime.shutdown_timeout(Duration::from_millis(200));
        done
    });
    done.await.map_err(|error| Failure::new(format!("the {name} has failed: {error}")))
}

/// Yields once for each SIGTERM or SIGINT.
fn stops() -> std::io::Result<mpsc::Receiver<()>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stops) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(stops)
}

impl LogsArgs {
    pub(super) async fn run(&self, session: &Session, path: &Path, start: &str) -> Outcome {
        let mut file = File::open(path).map_err(|error| {
            let failure =
                Failure::new(format!("there is no log yet ({}: {error})", path.display()));
            failure.hint(format!("start one: {start}"))
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io("read", path))?;
        let lines: Vec<_> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(self.lines)) {
            show(session, line)?;
        }
        let mut at = file.stream_position().map_err(io("read", path))?;
        if !self.follow {
            return Ok(());
        }
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut file = File::open(path).map_err(io("read", path))?;
            let size = file.metadata().map_err(io("read", path))?.len();
            // A new log begins at its beginning.
            at = if size < at { 0 } else { at };
            file.seek(SeekFrom::Start(at)).map_err(io("read", path))?;
            let mut more = String::new();
            file.read_to_string(&mut more).map_err(io("read", path))?;
            // The last line may be half written.
            let whole = more.rfind('\n').map_or(0, |end| end + 1);
            for line in more.get(..whole).unwrap_or_default().lines() {
                show(session, line)?;
            }
            at += whole as u64;
        }
    }
}

/// One line: as it is for programs, readable for people.
fn show(session: &Session, line: &str) -> Outcome {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(line) else {
        return Ok(());
    };
    let value = serde_json::Value::Object(fields.clone());
    session.out.show(&value, || {
        let mut take = |name: &str| {
            let value = fields.remove(name).unwrap_or_default();
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let (time, level, message) = (take("timestamp"), take("level"), take("message"));
        let rest: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        crate::output::safe(&format!("{time} {level:<5} {message} {}", rest.join(" ")))
    })
}
