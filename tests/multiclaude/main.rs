//! A stand-in for multiclaude, for tests: it behaves as the real program was
//! seen to behave, as far as a program beside it can tell, and only so.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the command line |
//! | `daemon` | the socket, the passes every 2 minutes and the forced ones |
//! | `state` | `state.json`, owned by the daemon |
//! | `messages` | message files |
//! | `tmux` | sessions and windows, with a claude typed into a shell |
//!
//! `STAND_IN_LOOP_MS` replaces the 2 minutes; with `STAND_IN_TMUX=0` there are no
//! windows and every agent counts as alive.

mod daemon;
mod messages;
mod state;
mod tmux;

use serde_json::{Value, json};
use state::Home;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Under another name it stands in for claude: it stays and prints its input.
    if std::env::args()
        .next()
        .is_some_and(|name| name.ends_with("claude") && !name.ends_with("multiclaude"))
    {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            println!("claude received: {line}");
        }
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<String, String>;

fn run(words: &[&str]) -> Done {
    let home = Home::of_user();
    match words {
        ["daemon", "_run"] => daemon::run(&home),
        ["start"] | ["daemon", "start"] => start(&home),
        ["daemon", "stop"] | ["stop"] => stop(&home),
        ["daemon", "status"] | ["status"] => Ok(format!("{}\n", ask(&home, "status", json!({}))?)),
        ["repo", "init", rest @ ..] | ["init", rest @ ..] => init(&home, rest),
        ["repo", "rm", name] => remove_repo(&home, name),
        ["repo", "list"] | ["list"] => Ok(format!("{}\n", ask(&home, "list_repos", json!({}))?)),
        ["worker" | "work", "create", task, rest @ ..] => create_worker(&home, task, rest),
        ["worker", "rm", name, rest @ ..] => {
            let repo = repo_of(&home, rest)?;
            let _ = std::fs::remove_dir_all(home.worktree(&repo, name));
            ask(&home, "remove_agent", json!({ "repo": repo, "agent": name }))
                .map(|_| format!("Removed {name}\n"))
        }
        ["workspace", "add", name, rest @ ..] => add_workspace(&home, name, rest),
        ["message", "send", to, body @ ..] => {
            let (repo, from) = here(&home)?;
            let id = messages::send(&home, &repo, &from, to, &body.join(" "))?;
            let _ = ask(&home, "route_messages", json!({}));
            Ok(format!("Message sent to {to} (ID: {id})\n"))
        }
        ["message", "list"] => {
            let (repo, agent) = here(&home)?;
            Ok(messages::list(&home, &repo, &agent))
        }
        ["message", "read", id] => {
            let (repo, agent) = here(&home)?;
            messages::read(&home, &repo, &agent, id)
        }
        ["message", "ack", id] => {
            let (repo, agent) = here(&home)?;
            messages::ack(&home, &repo, &agent, id)
        }
        ["agent", "complete", rest @ ..] => {
            let (repo, agent) = here(&home)?;
            let args = json!({
                "repo": repo, "agent": agent, "summary": flag(rest, "--summary"),
                "failure_reason": flag(rest, "--failure"),
            });
            ask(&home, "complete_agent", args)?;
            Ok("Agent marked as complete\n".to_owned())
        }
        ["repair"] => ask(&home, "repair_state", json!({})).map(|_| "State repaired\n".to_owned()),
        ["cleanup"] => ask(&home, "trigger_cleanup", json!({})).map(|_| "Cleaned up\n".to_owned()),
        ["config", repo, switch] => {
            let on = switch.strip_prefix("--mq-enabled=").ok_or("unknown flag")?;
            let args = json!({ "repo": repo, "mq_enabled": on == "true" });
            ask(&home, "update_repo_config", args).map(|_| "Configuration updated\n".to_owned())
        }
        _ => Err(format!("the stand-in does not know: {}", words.join(" "))),
    }
}

fn flag(rest: &[&str], name: &str) -> Option<String> {
    let at = rest.iter().position(|word| *word == name)?;
    rest.get(at + 1).map(|value| (*value).to_owned())
}

/// One request to the daemon.
pub(crate) fn ask(home: &Home, command: &str, args: Value) -> Result<Value, String> {
    let away = |error: std::io::Error| format!("the daemon is not running: {error}");
    let mut stream = UnixStream::connect(home.socket()).map_err(away)?;
    let request = json!({ "command": command, "args": args });
    stream.write_all(format!("{request}\n").as_bytes()).map_err(away)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(away)?;
    let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    if answer["success"] == true {
        return Ok(answer["data"].clone());
    }
    Err(answer["error"].as_str().unwrap_or_default().to_owned())
}

fn start(home: &Home) -> Done {
    if ask(home, "ping", json!({})).is_ok() {
        return Ok("The daemon is running\n".to_owned());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .args(["daemon", "_run"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(|error| error.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(home, "ping", json!({})).is_err() {
        if Instant::now() > deadline {
            return Err("the daemon did not start".to_owned());
        }
        sleep(Duration::from_millis(10));
    }
    Ok("Daemon started\n".to_owned())
}

fn stop(home: &Home) -> Done {
    ask(home, "stop", json!({}))?;
    while UnixStream::connect(home.socket()).is_ok() {
        sleep(Duration::from_millis(10));
    }
    Ok("Daemon stopped\n".to_owned())
}

fn repo_of(home: &Home, rest: &[&str]) -> Result<String, String> {
    flag(rest, "--repo").map_or_else(|| here(home).map(|(repo, _)| repo), Ok)
}

fn init(home: &Home, rest: &[&str]) -> Done {
    let (flags, words): (Vec<&str>, Vec<&str>) =
        rest.iter().partition(|word| word.starts_with("--"));
    let url = words.first().ok_or("usage: repo init <url> [name]")?;
    let default = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = words.get(1).copied().unwrap_or(default).trim_end_matches(".git");
    let clone = home.root().join("repos").join(name);
    if clone.exists() {
        return Err(format!("directory already exists: {}", clone.display()));
    }
    std::fs::create_dir_all(&clone).map_err(|error| error.to_string())?;
    let args = json!({
        "name": name, "github_url": url, "tmux_session": format!("mc-{name}"),
        "mq_enabled": !flags.contains(&"--no-merge-queue"),
    });
    ask(home, "add_repo", args)?;
    Ok("Repository initialized\n".to_owned())
}

fn remove_repo(home: &Home, name: &str) -> Done {
    ask(home, "remove_repo", json!({ "name": name }))?;
    // The clone stays.
    for dir in ["wts", "messages"] {
        // A link in it is removed, what it leads to is not.
        let _ = std::fs::remove_dir_all(home.root().join(dir).join(name));
    }
    Ok(format!("Removed {name}\n"))
}

fn create_worker(home: &Home, task: &str, rest: &[&str]) -> Done {
    let repo = repo_of(home, rest)?;
    let name = flag(rest, "--name").ok_or("the stand-in wants --name")?;
    add(home, &repo, &name, "worker", Some(task))
}

fn add_workspace(home: &Home, name: &str, rest: &[&str]) -> Done {
    let repo = repo_of(home, rest)?;
    add(home, &repo, name, "workspace", None)
}

fn add(home: &Home, repo: &str, name: &str, kind: &str, task: Option<&str>) -> Done {
    let worktree = home.worktree(repo, name);
    std::fs::create_dir_all(&worktree).map_err(|error| error.to_string())?;
    let args = json!({
        "repo": repo, "agent": name, "type": kind, "worktree_path": worktree, "tmux_window": name,
        "session_id": state::session_id(), "task": task, "start": true,
    });
    ask(home, "add_agent", args)?;
    Ok(format!("Created {name}\n"))
}

/// The repo and the agent of the working directory. In a worktree the agent is
/// all of the path below it; in the clone it is the session's current window.
fn here(home: &Home) -> Result<(String, String), String> {
    let current = std::env::current_dir()
        .and_then(|dir| dir.canonicalize())
        .map_err(|error| error.to_string())?;
    let root: PathBuf = home.root().canonicalize().map_err(|error| error.to_string())?;
    let below = |dir: &str| {
        current.strip_prefix(root.join(dir)).map(|path| path.to_string_lossy().into_owned())
    };
    if let Ok(path) = below("wts")
        && let Some((repo, agent)) = path.split_once('/')
    {
        return Ok((repo.to_owned(), agent.to_owned()));
    }
    if let Ok(path) = below("repos") {
        let repo = path.split('/').next().unwrap_or_default().to_owned();
        let window = std::env::var_os("TMUX_PANE").and_then(|_| tmux::current_window());
        return Ok((repo, window.unwrap_or_else(|| "supervisor".to_owned())));
    }
    Err("not in a multiclaude agent's directory".to_owned())
}
