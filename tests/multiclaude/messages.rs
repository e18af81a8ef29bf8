//! Message files. Written in place, without a lock: a reader may see half of
//! one, and one status overwrites another.

use crate::state::{Home, now};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub(crate) fn send(
    home: &Home,
    repo: &str,
    from: &str,
    to: &str,
    body: &str,
) -> Result<String, String> {
    let id = format!("msg-{}", &uuid::Uuid::new_v4().to_string()[..13]);
    let message = json!({
        "id": id, "from": from, "to": to, "timestamp": now(), "body": body, "status": "pending",
    });
    let dir = home.messages(repo, to);
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    write(&dir, &message)?;
    Ok(id)
}

fn write(dir: &Path, message: &Value) -> Result<(), String> {
    // The file is named by the id in it, whatever it was read from.
    let path = dir.join(format!("{}.json", message["id"].as_str().unwrap_or_default()));
    let text = serde_json::to_vec_pretty(message).unwrap();
    fs::write(path, text).map_err(|error| format!("failed to write message file: {error}"))
}

/// All messages of an agent, in the order of their file names. What cannot be
/// read is left out.
pub(crate) fn all(home: &Home, repo: &str, agent: &str) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(home.messages(repo, agent)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: &std::path::PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
    paths.iter().filter_map(read).collect()
}

fn get(home: &Home, repo: &str, agent: &str, id: &str) -> Result<Value, String> {
    let path = home.messages(repo, agent).join(format!("{id}.json"));
    let text = fs::read(path).map_err(|error| format!("failed to read message: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("failed to parse message: {error}"))
}

pub(crate) fn set_status(
    home: &Home,
    repo: &str,
    agent: &str,
    id: &str,
    status: &str,
) -> Result<(), String> {
    let mut message = get(home, repo, agent, id)?;
    message["status"] = status.into();
    if status == "acked" {
        message["acked_at"] = now().into();
    }
    // Unknown fields are dropped at the first change.
    let known = ["id", "from", "to", "timestamp", "body", "status", "acked_at"];
    if let Some(fields) = message.as_object_mut() {
        fields.retain(|name, _| known.contains(&name.as_str()));
    }
    write(&home.messages(repo, agent), &message)
}

pub(crate) fn list(home: &Home, repo: &str, agent: &str) -> String {
    let messages = all(home, repo, agent);
    if messages.is_empty() {
        return "No messages\n".to_owned();
    }
    let mut text = format!("Messages for {agent} ({}):\n", messages.len());
    for message in messages {
        let part = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let body: String = part("body").chars().take(60).collect();
        let _ = writeln!(
            text,
            "  [{}] From: {} - {} - {body}",
            part("id"),
            part("from"),
            part("status")
        );
    }
    text
}

pub(crate) fn read(home: &Home, repo: &str, agent: &str, id: &str) -> Result<String, String> {
    let message = get(home, repo, agent, id)?;
    if matches!(message["status"].as_str(), Some("pending" | "delivered")) {
        set_status(home, repo, agent, id, "read")?;
    }
    let part = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    Ok(format!("Message: {id}\nFrom: {}\nTo: {}\n\n{}\n", part("from"), part("to"), part("body")))
}

pub(crate) fn ack(home: &Home, repo: &str, agent: &str, id: &str) -> Result<String, String> {
    set_status(home, repo, agent, id, "acked")?;
    Ok(format!("Message {id} acknowledged\n"))
}

/// Removes the directories of names that have no agent. Links are no
/// directories, so they stay.
pub(crate) fn remove_orphans(home: &Home, repo: &str, agents: &[String]) {
    let Ok(entries) = fs::read_dir(home.root().join("messages").join(repo)) else {
        return;
    };
    for entry in entries.flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_dir && !agents.contains(&name) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
