//! The daemon: one request per connection, passes that are not locked against
//! each other.

use crate::messages;
use crate::state::{Home, State, now, session_id};
use crate::tmux;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[derive(Debug)]
struct Daemon {
    home: Home,
    state: State,
}

/// Runs until it is asked to stop.
pub(crate) fn run(home: &Home) -> Result<String, String> {
    fs::create_dir_all(home.root()).map_err(|error| error.to_string())?;
    let socket = home.socket();
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).map_err(|error| error.to_string())?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))
        .map_err(|error| error.to_string())?;
    // It stays after a stop: no proof of life.
    let _ = fs::write(home.root().join("daemon.pid"), std::process::id().to_string());
    let daemon = Arc::new(Daemon { home: home.clone(), state: State::load(home) });
    let every = std::env::var("STAND_IN_LOOP_MS").ok().and_then(|ms| ms.parse().ok());
    let every = Duration::from_millis(every.unwrap_or(120_000));
    let of_loop = Arc::clone(&daemon);
    thread::spawn(move || {
        of_loop.health();
        loop {
            thread::sleep(every);
            of_loop.route();
            of_loop.health();
        }
    });
    for stream in listener.incoming().flatten() {
        let daemon = Arc::clone(&daemon);
        thread::spawn(move || daemon.serve(stream));
    }
    Ok(String::new())
}

fn text(args: &Value, name: &str) -> String {
    args[name].as_str().unwrap_or_default().to_owned()
}

impl Daemon {
    fn serve(self: Arc<Self>, stream: UnixStream) {
        // What comes after the request is not read: the end resets the connection
        // then, as that of the real daemon does.
        let mut requests = serde_json::Deserializer::from_reader(&stream).into_iter();
        let request: Value = requests.next().and_then(Result::ok).unwrap_or_default();
        let mut writer = &stream;
        let command = text(&request, "command");
        let answer = match self.answer(&command, &request["args"]) {
            Ok(data) => json!({ "success": true, "data": data }),
            Err(error) => json!({ "success": false, "error": error }),
        };
        let _ = writeln!(writer, "{answer}");
        if command == "stop" {
            let _ = fs::remove_file(self.home.socket());
            std::process::exit(0);
        }
    }

    fn answer(self: &Arc<Self>, command: &str, args: &Value) -> Result<Value, String> {
        let (repo, agent) = (text(args, "repo"), text(args, "agent"));
        match command {
            "ping" => return Ok("pong".into()),
            "stop" => {}
            "status" => {
                let agents: usize =
                    self.state.repos().iter().map(|repo| self.state.agents(repo).len()).sum();
                return Ok(
                    json!({ "running": true, "agents": agents, "repos": self.state.repos().len() }),
                );
            }
            "list_repos" => return Ok(self.state.repos().into()),
            "list_agents" => {
                let names = self.state.agents(&repo).into_iter();
                return Ok(names.map(|name| json!({ "name": name })).collect());
            }
            "task_history" => return Ok(self.state.get()["repos"][&repo]["task_history"].clone()),
            "route_messages" => {
                let daemon = Arc::clone(self);
                thread::spawn(move || daemon.route());
                return Ok("Message routing triggered".into());
            }
            "add_repo" => self.add_repo(args),
            "remove_repo" => {
                let name = text(args, "name");
                for agent in self.state.agents(&name) {
                    tmux::kill_window(&self.state.session(&name), &agent);
                }
                self.state.change(|state| {
                    state["repos"].as_object_mut().map(|repos| repos.remove(&name))
                });
            }
            "update_repo_config" => self.state.change(|state| {
                state["repos"][&repo]["merge_queue_config"]["enabled"] = args["mq_enabled"].clone();
            }),
            "add_agent" => {
                let mut args = args.clone();
                if args["start"] == true {
                    let dir = text(&args, "worktree_path");
                    tmux::make_window(&self.state.session(&repo), &agent, &dir);
                    args["pid"] = self.start(&repo, &agent, &text(&args, "session_id")).into();
                }
                self.add_agent(&repo, &agent, &args);
            }
            "restart_agent" => {
                let mut found = self.state.agent(&repo, &agent).ok_or("agent not found")?;
                if !tmux::has_window(&self.state.session(&repo), &agent) {
                    return Err(format!("tmux window '{agent}' does not exist"));
                }
                found["pid"] = self.start(&repo, &agent, &text(&found, "session_id")).into();
                self.state.set_agent(&repo, &agent, found);
            }
            "remove_agent" => {
                self.state.agent(&repo, &agent).ok_or("agent not found")?;
                self.state.remove_agent(&repo, &agent);
            }
            "complete_agent" => self.complete(&repo, &agent, args)?,
            "repair_state" => self.repair(),
            "trigger_cleanup" => self.health(),
            _ => return Err(format!("unknown command: {command}")),
        }
        Ok(Value::Null)
    }

    fn start(&self, repo: &str, agent: &str, session_id: &str) -> u32 {
        if tmux::is_used() {
            tmux::start_claude(&self.state.session(repo), agent, session_id)
        } else {
            0
        }
    }

    fn add_agent(&self, repo: &str, agent: &str, args: &Value) {
        let mut value = json!({
            "type": args["type"], "worktree_path": args["worktree_path"], "tmux_window": args["tmux_window"],
            "session_id": args["session_id"], "pid": args["pid"].as_u64().unwrap_or_default(),
            "created_at": now(), "last_nudge": "0001-01-01T00:00:00Z",
        });
        if args["task"].is_string() {
            value["task"] = args["task"].clone();
        }
        self.state.set_agent(repo, agent, value);
    }

    /// A supervisor always, a merge-queue unless it is left out, a workspace.
    fn add_repo(&self, args: &Value) {
        let name = text(args, "name");
        let repo = json!({
            "github_url": args["github_url"], "tmux_session": args["tmux_session"], "agents": {},
            "merge_queue_config": { "enabled": args["mq_enabled"], "track_mode": "all" },
            "fork_config": { "is_fork": false },
        });
        self.state.change(|state| state["repos"][&name] = repo);
        self.spawn(&name, "supervisor", "supervisor");
        if args["mq_enabled"] == true {
            self.spawn(&name, "merge-queue", "merge-queue");
        }
        self.spawn(&name, "default", "workspace");
    }

    fn spawn(&self, repo: &str, agent: &str, kind: &str) {
        let dir = match kind {
            "workspace" => self.home.worktree(repo, agent),
            _ => self.home.clone_of(repo),
        };
        let _ = fs::create_dir_all(&dir);
        let args = json!({
            "type": kind, "worktree_path": dir, "tmux_window": agent, "session_id": session_id(),
        });
        tmux::make_window(&self.state.session(repo), agent, &dir.to_string_lossy());
        self.add_agent(repo, agent, &args);
        let pid = self.start(repo, agent, &text(&args, "session_id"));
        self.state.change(|state| state["repos"][repo]["agents"][agent]["pid"] = pid.into());
    }

    /// Pastes what is pending. Passes overlap: each reads the files for itself.
    fn route(&self) {
        for repo in self.state.repos() {
            let session = self.state.session(&repo);
            for agent in self.state.agents(&repo) {
                let Some(found) =
                    self.state.agent(&repo, &agent).filter(|found| found["type"] != "workspace")
                else {
                    continue;
                };
                for message in messages::all(&self.home, &repo, &agent) {
                    if message["status"] != "pending" {
                        continue;
                    }
                    let pasted = format!(
                        "📨 Message from {}: {}",
                        text(&message, "from"),
                        text(&message, "body")
                    );
                    if tmux::paste(&session, &text(&found, "tmux_window"), &pasted) {
                        let id = text(&message, "id");
                        let _ = messages::set_status(&self.home, &repo, &agent, &id, "delivered");
                    }
                }
            }
        }
    }

    fn complete(self: &Arc<Self>, repo: &str, agent: &str, args: &Value) -> Result<(), String> {
        let mut found =
            self.state.agent(repo, agent).ok_or(format!("agent '{agent}' not found"))?;
        found["ready_for_cleanup"] = true.into();
        for field in ["summary", "failure_reason"] {
            if args[field].is_string() {
                found[field] = args[field].clone();
            }
        }
        self.state.set_agent(repo, agent, found.clone());
        if found["type"] == "worker" {
            let task = text(&found, "task");
            for (to, body) in [
                ("supervisor", format!("Worker '{agent}' has completed its task: {task}")),
                (
                    "merge-queue",
                    format!(
                        "Worker '{agent}' has completed and may have created a PR. Task: {task}"
                    ),
                ),
            ] {
                let _ = messages::send(&self.home, repo, agent, to, &body);
            }
            let daemon = Arc::clone(self);
            thread::spawn(move || daemon.route());
        }
        let daemon = Arc::clone(self);
        thread::spawn(move || {
            // The real clean-up takes about 80 ms to come to the directories. It is work, so it
            // takes longer on a busy machine, as these naps do.
            (0..80).for_each(|_| thread::sleep(Duration::from_millis(1)));
            daemon.health();
        });
        Ok(())
    }

    /// Removes agents that have ended or lost their window, and restores lost
    /// sessions.
    fn health(&self) {
        for repo in self.state.repos() {
            let session = self.state.session(&repo);
            if !tmux::has_session(&session) {
                self.restore(&repo);
                continue;
            }
            for agent in self.state.agents(&repo) {
                let Some(found) = self.state.agent(&repo, &agent) else {
                    continue;
                };
                let alive = tmux::has_window(&session, &text(&found, "tmux_window"));
                if found["ready_for_cleanup"] != true && alive {
                    continue;
                }
                if found["type"] == "worker" {
                    self.record(&repo, &agent, &found);
                }
                tmux::kill_window(&session, &text(&found, "tmux_window"));
                self.state.remove_agent(&repo, &agent);
                if matches!(found["type"].as_str(), Some("worker" | "review")) {
                    let _ = fs::remove_dir_all(text(&found, "worktree_path"));
                }
                messages::remove_orphans(&self.home, &repo, &self.state.agents(&repo));
            }
        }
    }

    fn record(&self, repo: &str, agent: &str, found: &Value) {
        let failed = found["failure_reason"].is_string();
        let entry = json!({
            "name": agent, "task": found["task"], "branch": format!("work/{agent}"),
            "status": if failed { "failed" } else { "unknown" }, "summary": found["summary"],
            "failure_reason": found["failure_reason"], "created_at": found["created_at"], "completed_at": now(),
        });
        self.state.change(|state| {
            let history = &mut state["repos"][repo]["task_history"];
            if !history.is_array() {
                *history = json!([]);
            }
            if let Some(history) = history.as_array_mut() {
                history.push(entry);
            }
        });
    }

    /// After a lost session all agents are gone; the supervisor comes back, with
    /// the long text of definitions in its inbox.
    fn restore(&self, repo: &str) {
        for agent in self.state.agents(repo) {
            self.state.remove_agent(repo, &agent);
        }
        self.spawn(repo, "supervisor", "supervisor");
        let definitions = format!("Agent definitions: {}", "x".repeat(8500));
        let _ = messages::send(&self.home, repo, "daemon", "supervisor", &definitions);
        if !self.home.worktree(repo, "workspace").exists()
            && !self.home.worktree(repo, "default").exists()
        {
            self.spawn(repo, "workspace", "workspace");
        }
    }

    fn repair(&self) {
        for repo in self.state.repos() {
            let session = self.state.session(&repo);
            for agent in self.state.agents(&repo) {
                let window =
                    self.state.agent(&repo, &agent).map(|found| text(&found, "tmux_window"));
                if !tmux::has_session(&session)
                    || !tmux::has_window(&session, &window.unwrap_or_default())
                {
                    self.state.remove_agent(&repo, &agent);
                }
            }
            messages::remove_orphans(&self.home, &repo, &self.state.agents(&repo));
        }
    }
}
