//! MCP servers on standard input and output: children of the session, started
//! with it and ended with it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long a server may take to answer at its start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Variables that servers get, beside the session's own environment.
pub(crate) type Environment = Vec<(String, String)>;

#[derive(Debug)]
struct Server {
    child: Mutex<Child>,
    stdin: Mutex<ChildStdin>,
    /// Requests that wait for a response, by id.
    pending: Mutex<HashMap<String, Sender<Value>>>,
    state: Mutex<&'static str>,
    tools: Mutex<Value>,
}

/// All servers of the session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<HashMap<String, Arc<Server>>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every server is asked for, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) version: String,
    /// How long a server may take to answer `server/discover`, if it is asked.
    pub(crate) discovers: Option<Duration>,
    pub(crate) cwd: String,
}

impl Servers {
    /// Starts them all, each with its handshake in a thread of its own.
    pub(crate) fn start(
        &self,
        specs: &Map<String, Value>,
        client: &Client,
        environment: &Environment,
        logs: &Path,
    ) {
        for (name, spec) in specs {
            let Some(server) = spawn(name, spec, environment, logs) else { continue };
            let (server, stdout) = server;
            lock(&self.0).insert(name.clone(), Arc::clone(&server));
            let (reader, client) = (Arc::clone(&server), client.clone());
            let cwd = client.cwd.clone();
            thread::spawn(move || reader.read(stdout, &cwd));
            thread::spawn(move || {
                let done = server.shake_hands(&client);
                *lock(&server.state) = if done.is_some() { "ready" } else { "failed" };
            });
        }
    }

    /// Name, state and tools of each.
    pub(crate) fn state(&self) -> Value {
        let servers = lock(&self.0);
        servers
            .iter()
            .map(|(name, server)| {
                let state = json!({ "state": *lock(&server.state), "tools": *lock(&server.tools),
                    "pid": lock(&server.child).id() });
                (name.clone(), state)
            })
            .collect()
    }

    /// Calls a tool and waits for its result, at most a minute.
    pub(crate) fn call(&self, call: &Value) -> Value {
        let server = lock(&self.0).get(call["server"].as_str().unwrap_or_default()).cloned();
        let Some(server) = server else { return json!({ "error": "no such server" }) };
        let params = json!({ "name": call["name"], "arguments": call["arguments"] });
        let answer =
            server.request("tools/call".into(), "tools/call", params, Duration::from_mins(1));
        answer.map_or_else(
            || json!({ "error": "no answer" }),
            |mut answer| match answer["error"].take() {
                Value::Null => json!({ "result": answer["result"] }),
                error => json!({ "error": error }),
            },
        )
    }

    /// Ends them: SIGINT first, SIGKILL at last.
    pub(crate) fn stop(&self) {
        let servers: Vec<_> = lock(&self.0).drain().map(|(_, server)| server).collect();
        let ended = |server: &Arc<Server>| !matches!(lock(&server.child).try_wait(), Ok(None));
        for (signal, patience) in [(Signal::INT, 300), (Signal::TERM, 300), (Signal::KILL, 1000)] {
            for server in servers.iter().filter(|server| !ended(server)) {
                let pid = i32::try_from(lock(&server.child).id()).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, signal));
            }
            let until = Instant::now() + Duration::from_millis(patience);
            while Instant::now() < until && !servers.iter().all(ended) {
                sleep(Duration::from_millis(5));
            }
        }
    }
}

/// `${NAME}` and `${NAME:-default}` in a configuration.
fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let Some((inside, after)) = rest.split_once('}') else { return text.to_owned() };
    let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
    let value = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    format!("{before}{value}{}", expanded(after))
}

fn spawn(
    name: &str,
    spec: &Value,
    environment: &Environment,
    logs: &Path,
) -> Option<(Arc<Server>, ChildStdout)> {
    if spec["type"].as_str().is_some_and(|kind| kind != "stdio") {
        return None;
    }
    let args = spec["args"].as_array().cloned().unwrap_or_default();
    let own = spec["env"].as_object().cloned().unwrap_or_default();
    let stderr = File::create(logs.join(format!("{}.{name}.err", std::process::id())));
    let mut child = Command::new(expanded(spec["command"].as_str()?))
        .args(args.iter().filter_map(Value::as_str).map(expanded))
        .envs(environment.iter().cloned())
        .envs(own.iter().map(|(name, value)| (name, expanded(value.as_str().unwrap_or_default()))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr.map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()
        .ok()?;
    let (stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let server = Server {
        child: Mutex::new(child),
        stdin: Mutex::new(stdin),
        pending: Mutex::default(),
        state: Mutex::new("starting"),
        tools: Mutex::default(),
    };
    Some((Arc::new(server), stdout))
}

impl Server {
    fn send(&self, message: &Value) {
        let _ = lock(&self.stdin).write_all(format!("{message}\n").as_bytes());
    }

    fn request(&self, id: Value, method: &str, params: Value, patience: Duration) -> Option<Value> {
        let (answer, answered) = channel();
        lock(&self.pending).insert(id.to_string(), answer);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = answered.recv_timeout(patience).ok();
        lock(&self.pending).remove(&id.to_string());
        answer
    }

    fn shake_hands(&self, client: &Client) -> Option<()> {
        let info =
            json!({ "name": "claude-code", "title": "Claude Code", "version": client.version });
        if let Some(patience) = client.discovers {
            // Servers that don't know it answer with an error.
            let params = json!({ "_meta": { "io.modelcontextprotocol/clientInfo": info } });
            self.request("server-discover-probe-1".into(), "server/discover", params, patience);
        }
        let params = json!({
            "protocolVersion": "2025-11-25", "clientInfo": info,
            "capabilities": { "roots": { "listChanged": true }, "elicitation": {} },
        });
        let answer = self.request(0.into(), "initialize", params, PATIENCE)?;
        answer["result"].as_object()?;
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let mut answer = self.request(1.into(), "tools/list", json!({}), PATIENCE)?;
        *lock(&self.tools) = answer["result"]["tools"].take();
        Some(())
    }

    /// Hands responses to who waits for them, and answers the server's requests.
    fn read(&self, stdout: ChildStdout, cwd: &str) {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            let id = &message["id"];
            let Some(method) = message["method"].as_str() else {
                if let Some(waits) = lock(&self.pending).remove(&id.to_string()) {
                    let _ = waits.send(message);
                }
                continue;
            };
            if id.is_null() {
                continue;
            }
            let answer = match method {
                "ping" => json!({ "result": {} }),
                "roots/list" => {
                    json!({ "result": { "roots": [{ "uri": format!("file://{cwd}") }] } })
                }
                _ => json!({ "error": { "code": -32601, "message": "Method not found" } }),
            };
            let mut response = json!({ "jsonrpc": "2.0", "id": id });
            if let (Some(response), Value::Object(answer)) = (response.as_object_mut(), answer) {
                response.extend(answer);
            }
            self.send(&response);
        }
        *lock(&self.state) = "ended";
        lock(&self.pending).clear();
    }
}
