//! A coordinator in workerd, as tests start and stop it.

use crate::process::{LIMIT, grouped, kill, output};
use crate::{Client, RepoClient, eventually};
use multiclaude_hybrid_client::Reply;
use multiclaude_hybrid_protocol::token::{SecretToken, TokenKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// The default key that secrets are sealed with.
pub const MASTER_KEY: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How a coordinator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// `TIME_SCALE`.
    pub scale: u32,
    /// `ALLOW_INSECURE`.
    pub allow_insecure: bool,
    /// `ALLOWED_ORIGINS`.
    pub allowed_origins: &'static str,
    /// `MASTER_KEY`, if there is one.
    pub master_key: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self { scale: 1, allow_insecure: true, allowed_origins: "", master_key: Some(MASTER_KEY) }
    }
}

/// A coordinator in workerd with its state in a directory of its own.
#[derive(Debug)]
pub struct Coordinator {
    /// They count from the next launch on.
    pub options: Options,
    dir: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
    /// Ends the coordinator when this process ends; see [`keeper`].
    keeper: Option<Child>,
    /// The first admin token.
    pub admin: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// One of the pinned tools, as the Makefile runs it: at the root of the checkout.
pub fn tool(name: &str) -> Command {
    let bin = root().join("node_modules/.bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(bin.join(name));
    command
        .current_dir(root())
        .env("PATH", path)
        .env("CI", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .stdin(Stdio::null());
    command
}

/// Runs a command on the database below `state`, and gives what it printed.
fn d1(state: &Path, args: &[&str]) -> String {
    let mut wrangler = tool("wrangler");
    wrangler.arg("d1").args(args).args(["--local", "--persist-to"]).arg(state);
    let done = output(&mut wrangler, b"", LIMIT);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A port that is free, and stays so until it is bound: the system chooses no port below
/// 32768 for others, and each caller gets another one.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another test process begins elsewhere.
    let first = std::process::id().wrapping_mul(64);
    loop {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 12_000 + u16::try_from(nth % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Coordinator {
    /// Starts one, with a migrated database, and waits until it is healthy.
    pub async fn start(options: Options) -> Self {
        assert!(root().join("build/complete").exists(), "build/ is missing: run `make wasm` first");
        let dir = tempfile::tempdir().unwrap();
        let random = std::array::from_fn(|at| (at as u8) ^ 0x5a);
        let admin = SecretToken::new(TokenKind::Admin, random).reveal().to_owned();
        d1(&dir.path().join("state"), &["migrations", "apply", "DB"]);
        let mut coordinator =
            Self { options, dir, port: free_port(), child: None, keeper: None, admin };
        coordinator.launch().await;
        coordinator
    }

    /// One with the default options, and a world of it.
    pub async fn own() -> (Self, World) {
        let coordinator = Self::start(Options::default()).await;
        let world = coordinator.world().await;
        (coordinator, world)
    }

    /// Starts it again on the same state.
    pub async fn launch(&mut self) {
        let mut vars = format!(
            "ADMIN_TOKEN=\"{}\"\nALLOW_INSECURE=\"{}\"\nTIME_SCALE=\"{}\"\nALLOWED_ORIGINS=\"{}\"\n",
            self.admin,
            self.options.allow_insecure,
            self.options.scale,
            self.options.allowed_origins
        );
        if let Some(key) = self.options.master_key {
            vars.push_str(&format!("MASTER_KEY=\"{key}\"\n"));
        }
        let file = |name: &str| self.dir.path().join(name);
        fs::write(file("vars"), vars).unwrap();
        let log = File::options().create(true).append(true).open(file("log")).unwrap();
        let mut wrangler = tool("wrangler");
        wrangler
            .args(["dev", "--ip", "127.0.0.1", "--inspector-port", "0", "--test-scheduled"])
            .args(["--port", &self.port.to_string()])
            .arg("--persist-to")
            .arg(self.state_dir())
            .arg("--env-file")
            .arg(file("vars"))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = grouped(&mut wrangler).spawn().unwrap();
        self.keeper = Some(keeper(&child, self.dir.path()));
        self.child = Some(child);
        let deadline = Instant::now() + LIMIT;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        while http.get(format!("{}/health", self.url())).send().await.is_err() {
            assert!(Instant::now() < deadline, "did not come up:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it and starts it again.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// Kills every process of it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(&mut child, "a coordinator");
        }
        if let Some(mut keeper) = self.keeper.take() {
            // It may have been killed.
            let _ = keeper.stdin.take().unwrap().write_all(b"ended\n");
            keeper.wait().unwrap();
        }
    }

    /// Changes the database directly, while the coordinator is down; returns the rows as
    /// JSON.
    pub fn execute_sql(&self, sql: &str) -> String {
        assert!(self.child.is_none(), "the coordinator is running");
        d1(&self.state_dir(), &["execute", "DB", "--yes", "--json", "--command", sql])
    }

    /// The API's base.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Runs the scheduled handler.
    pub async fn run_cron(&self) {
        let url = format!("http://127.0.0.1:{}/__scheduled?cron=*+*+*+*+*", self.port);
        let response = reqwest::get(url).await.unwrap();
        assert!(response.status().is_success());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The line that it has logged of a request, by the request's id.
    pub async fn line(&self, request_id: &str) -> Value {
        eventually("the log line", || async {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(request_id))?;
            serde_json::from_str(line).ok()
        })
        .await
    }

    /// The same of the request that got this reply.
    pub async fn line_of(&self, reply: &Reply) -> Value {
        self.line(reply.headers["x-request-id"].to_str().unwrap()).await
    }

    /// The directory with its database files.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A client with the admin token.
    pub fn client(&self) -> Client {
        Client::new(&self.url(), &self.admin)
    }

    /// A repo for one test, with tokens.
    pub async fn world(&self) -> World {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let admin = self.client();
        let scope = format!("acme/app{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let token = async |kind: &str, owner: &str| {
            let body = json!({"kind": kind, "owner": owner, "repos": [scope]});
            admin.create_token(&body).await.unwrap().token.unwrap()
        };
        let (dan, ann, ci) =
            (token("user", "dan").await, token("user", "ann").await, token("service", "ci").await);
        World {
            dan: admin.with_token(&dan).repo(&scope),
            ann: admin.with_token(&ann).repo(&scope),
            ci: admin.with_token(&ci).repo(&scope),
            tokens: [dan, ann, ci],
            admin,
            repo: scope,
            url: self.url(),
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A repo of its own, with a token for each of two users and a service.
#[derive(Debug, Clone)]
pub struct World {
    pub admin: Client,
    pub dan: RepoClient,
    pub ann: RepoClient,
    /// Service ci.
    pub ci: RepoClient,
    /// Their tokens, in this order.
    pub tokens: [String; 3],
    /// `owner/repo`.
    pub repo: String,
    /// The API's base.
    pub url: String,
}

impl World {
    /// Where its repo is cloned from.
    pub fn clone_url(&self) -> String {
        format!("https://github.com/{}", self.repo)
    }
}

/// The coordinator that most tests share: real time, started once.
pub async fn shared() -> &'static Coordinator {
    scaled(1).await
}

/// The coordinator of all tests that share this `TIME_SCALE`, started once.
/// It is never dropped: its keeper ends it.
pub async fn scaled(scale: u32) -> &'static Coordinator {
    static STARTED: Mutex<BTreeMap<u32, &OnceCell<Coordinator>>> = Mutex::new(BTreeMap::new());
    let cell = *STARTED.lock().unwrap().entry(scale).or_insert_with(|| Box::leak(Box::default()));
    cell.get_or_init(|| Coordinator::start(Options { scale, ..Options::default() })).await
}

/// A small shell that reads from a pipe whose other end only this process has.
/// If that ends before the coordinator, without a line, the shell kills the
/// coordinator's group and removes its directory: nothing survives a test
/// process that is killed.
fn keeper(coordinator: &Child, dir: &Path) -> Child {
    let script = format!(
        "read -r _ && exit; kill -KILL -{group}; rm -rf {dir}",
        group = coordinator.id(),
        dir = dir.display(),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    grouped(&mut shell).spawn().unwrap()
}
