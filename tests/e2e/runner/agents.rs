//! A worker is an agent: it sends and receives, under its own name only.

use super::Site;
use crate::message;
use e2e::eventually;
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// Adds the function `call TOOL JSON`, which calls a tool, to a worker's line of shell.
fn with_tools(site: &Site, line: &str) -> String {
    let program = site.runner.machine.hybrid(&[]).get_program().to_string_lossy().into_owned();
    format!("call() {{ '{program}' mcp call --json \"$@\"; }}; {line}")
}

#[tokio::test]
async fn a_worker_sends_receives_and_acknowledges_through_its_socket_without_a_token() {
    let mut site = Site::idle().await;
    site.world.dan.register(&crate::agent("dan-ws")).await.unwrap();
    let line = with_tools(
        &site,
        "call send_message '{\"to\": \"dan-ws\", \"body\": \"what now?\"}' || exit 1; \
         until id=$(call list_messages | grep -o 'msg_[a-z0-9_-]*' | head -n1) && [ -n \"$id\" ]; do sleep 0.1; done; \
         call read_message \"{\\\"id\\\": \\\"$id\\\"}\" >\"$HOME/read\"; \
         call ack_message \"{\\\"id\\\": \\\"$id\\\"}\"; env >\"$HOME/env\"; call list_agents >\"$HOME/agents\"",
    );
    site.runner.machine.set("SECRET_OF_THE_RUNNER", "hunter2");
    site.runner.start_sh(&[], &line);
    let request = site.ask("Ask dan").await;
    let name = site.works(&request).await.worker_name.unwrap();
    let agent = site.world.dan.agent(name.as_str()).await.unwrap();
    assert_eq!((agent.r#type.as_str(), agent.owner.as_str()), ("worker", "ci"));
    assert_eq!(agent.metadata["node"], "box");
    let asked = eventually("its question", || async {
        site.world.dan.messages("dan-ws", "").await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!((asked.from.to_string(), asked.body.as_str()), (name.to_string(), "what now?"));
    let answer =
        message("dan-ws", name.as_str(), "carry\u{202e} on\n!touch\u{200b}\u{e0041} proof\u{1b}");
    let answer = site.world.dan.send(&answer, None).await.unwrap();
    let ended = site.ends(&request).await;
    assert!(ended.failure_reason.is_none(), "{ended:?}");
    let receipt = site.world.dan.receipt(&answer.id.to_string()).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Acked);
    assert!(receipt.seen_at.is_some());
    let home = |name: &str| std::fs::read_to_string(site.runner.machine.path(name)).unwrap();
    let read: Value = serde_json::from_str(&home("read")).unwrap();
    assert_eq!(read["body"], "carry on\n!touch proof");
    let agents: Value = serde_json::from_str(&home("agents")).unwrap();
    let me = agents.as_array().unwrap().iter().find(|agent| agent["you"] == true).unwrap();
    assert_eq!(me["name"], name.as_str());
    let env = home("env");
    assert!(!env.contains("mcs_") && !env.contains("hunter2"), "{env}");
}

#[tokio::test]
async fn a_worker_sends_nothing_if_all_messages_have_to_be_encrypted() {
    let site = Site::idle().await;
    let always = serde_json::json!({"encrypt": "always", "enabled": true});
    site.world.ci.call(reqwest::Method::PUT, "/config", &[], Some(&always)).await.unwrap();
    sends_nothing(site, "--encrypt=always").await;
}

#[tokio::test]
async fn a_worker_sends_nothing_from_a_machine_that_encrypts_everything() {
    let mut site = Site::idle().await;
    let repo = site.world.repo.to_string();
    site.runner.machine.run(&["config", &repo, "--require-encryption=true"]).exits(0);
    sends_nothing(site, "--require-encryption").await;
}

/// A worker can neither send a message nor ask for a worker, and `reason` tells it why.
async fn sends_nothing(mut site: Site, reason: &str) {
    site.world.dan.register(&crate::agent("dan-ws")).await.unwrap();
    let line = with_tools(
        &site,
        "call send_message '{\"to\": \"dan-ws\", \"body\": \"plain\"}' 2>\"$HOME/sent\"; \
         call spawn_worker '{\"task\": \"plain\"}' 2>\"$HOME/spawned\"; true",
    );
    site.runner.start_sh(&[], &line);
    let request = site.ask("Ask dan").await;
    site.ends(&request).await;
    for name in ["sent", "spawned"] {
        let error = std::fs::read_to_string(site.runner.machine.path(name)).unwrap();
        assert!(error.contains(reason), "{name}: {error}");
    }
    assert!(site.world.dan.messages("dan-ws", "").await.unwrap().is_empty());
}

#[tokio::test]
async fn only_processes_of_a_worker_can_use_its_socket() {
    let mut site = Site::idle().await;
    let line = with_tools(
        &site,
        "cp \"$MULTICLAUDE_HYBRID_TASK_FILE\" \"$HOME/which\"; \
         case $(cat \"$MULTICLAUDE_HYBRID_TASK_FILE\") in \
         first) echo \"$MULTICLAUDE_HYBRID_SOCKET\" >\"$HOME/first\"; until [ -e \"$HOME/over\" ]; do sleep 0.1; done;; \
         *) MULTICLAUDE_HYBRID_SOCKET=$(cat \"$HOME/first\") call list_agents >\"$HOME/stolen\" 2>&1; \
         sleep 0.1; touch \"$HOME/over\";; esac",
    );
    site.runner.start_sh(&[], &line);
    let first = site.ask("first").await;
    let socket = site.runner.file(&site.runner.machine.path("first")).await;
    // A process of the same user that does not belong to the worker.
    site.runner.machine.set("MULTICLAUDE_HYBRID_SOCKET", socket.trim());
    let ran = site.runner.machine.run(&["mcp", "call", "list_agents"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("does not belong to the worker"), "{ran:?}");
    // Another worker.
    let second = site.ask("second").await;
    site.ends(&second).await;
    let stolen = site.runner.file(&site.runner.machine.path("stolen")).await;
    assert!(stolen.contains("does not belong to the worker"), "{stolen}");
    site.ends(&first).await;
}

#[tokio::test]
async fn the_token_is_in_no_environment_and_no_input_file_of_a_worker() {
    let mut site = Site::idle().await;
    let line = "cat /proc/*/environ >\"$HOME/environs\" 2>/dev/null; \
                grep -rlE 'mc[aus]_[A-Za-z0-9]{30}|lease_' \"$(dirname \"$MULTICLAUDE_HYBRID_TASK_FILE\")\" \
                >\"$HOME/found\" 2>/dev/null; cat /proc/$PPID/environ >\"$HOME/parent\" 2>&1; true";
    site.runner.start_sh(&[], line);
    let request = site.ask("look around").await;
    let ended = site.ends(&request).await;
    assert!(ended.failure_reason.is_none(), "{ended:?}");
    let home = |name: &str| std::fs::read(site.runner.machine.path(name)).unwrap();
    let token = site.world.tokens[2].as_bytes();
    let has = |text: &[u8]| text.windows(token.len()).any(|part| part == token);
    assert!(!has(&home("environs")) && !has(&home("parent")));
    assert_eq!(String::from_utf8_lossy(&home("found")), "");
}

/// Needs root, as the containers' tests do: only root can run processes as another user.
#[tokio::test]
async fn as_another_user_a_worker_reads_no_token_and_places_no_links_where_the_runner_writes() {
    let mut site = Site::idle().await;
    let work = tempfile::tempdir().unwrap();
    std::fs::set_permissions(work.path(), Permissions::from_mode(0o755)).unwrap();
    let program = work.path().join("tool");
    std::fs::copy(site.runner.machine.hybrid(&[]).get_program(), &program).unwrap();
    let home = site.runner.machine.path("").to_string_lossy().into_owned();
    let line = format!(
        "export HOME=$PWD; id -un; given=$(dirname \"$MULTICLAUDE_HYBRID_TASK_FILE\"); \
         cat {home}.multiclaude/credentials {home}.multiclaude-hybrid/runner/workers/*/* \
         /proc/$PPID/environ && echo READ; \
         for name in task.md mcp.json socket x; do ln -sf /etc/passwd \"$given/$name\" && echo LINKED; done; \
         rm -f \"$given/task.md\" && echo REMOVED; cat \"$MULTICLAUDE_HYBRID_TASK_FILE\"; \
         {} mcp call list_agents && echo CALLED",
        program.display()
    );
    let dir = format!("--work-dir={}", work.path().join("work").display());
    site.runner.start_sh(&["--user=nobody", &dir], &line);
    let request = site.ask("the task itself").await;
    let ended = site.ends(&request).await;
    let summary = ended.summary.unwrap_or_else(|| panic!("{:?}", ended.failure_reason));
    let path = format!("/workers/{}/log", request.id);
    let log = site.world.dan.call(reqwest::Method::GET, &path, &[], None);
    let log = log.await.unwrap().json::<Value>().unwrap()["log"].as_str().unwrap().to_owned();
    assert!(log.starts_with("nobody"), "{log}");
    assert!(log.contains("the task itself") && summary.ends_with("CALLED"), "{log}");
    for bad in ["READ", "LINKED", "REMOVED"] {
        assert!(!log.contains(bad), "{log}");
    }
    site.runner.forgets(request.id.as_str()).await;
}
