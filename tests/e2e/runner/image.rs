//! The script of the worker's image, in a container with stand-ins for git and claude: it
//! reads the secrets, clones, makes the branch, runs claude, and exits like it.

use super::Site;
use e2e::Containers;
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use serde_json::json;
use std::path::Path;

/// Records its arguments.
const GIT: &str = "#!/bin/sh\nfor word; do echo \"git:$word\"; done >>/work/calls\n\
    case $1 in clone) mkdir /work/repo;; esac\n";
/// Records its arguments, and exits with a summary on SIGTERM.
const CLAUDE: &str = "#!/bin/sh\n\
    { for word; do echo \"claude:$word\"; done; pwd; cat \"$4\"; echo \"$ANTHROPIC_API_KEY $GH_TOKEN\"; } >>/work/calls\n\
    touch \"$HOME/writable\" || exit 9\n\
    case $(cat /run/multiclaude-hybrid/task.md) in\n\
    wait) trap 'echo tidied >/work/summary.md; exit 0' TERM; echo x >/work/waits; while :; do sleep 0.1; done;;\n\
    fail) echo 'no credit' >&2; exit 4;;\n\
    *) cp /work/calls /work/summary.md;;\n\
    esac\n";

#[tokio::test]
async fn the_script_of_the_image_gives_claude_a_clone_and_its_credentials() {
    let containers = Containers::new();
    let mut site = Site::idle().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/worker/worker");
    let machine = &site.runner.machine;
    machine.install("git", GIT);
    machine.install("claude", CLAUDE);
    machine.write("key", "key-of-anthropic\n");
    machine.write("token", "token-of-github\n");
    let here = |name: &str| machine.path(name).display().to_string();
    let mut flags = containers.flags();
    for (from, to) in [
        (script.display().to_string(), "worker"),
        (here("bin/git"), "git"),
        (here("bin/claude"), "claude"),
    ] {
        flags.push(format!("--run-flag=--volume={from}:/usr/bin/{to}:ro"));
    }
    flags.push(format!("--secret=anthropic={}", here("key")));
    flags.push(format!("--secret=github={}", here("token")));
    flags.extend(["--max-workers=3", "--drain=0"].map(str::to_owned));
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    site.runner.start(&flags, &["worker"]);
    let branches = json!({ "branch": "dev", "push_to": "fix/it" });
    let works = site.ask_with(json!({ "task": "work", "metadata": branches })).await;
    let fails = site.ask("fail").await;
    let waits = site.ask("wait").await;

    let ended = site.ends(&works).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
    let calls = ended.summary.unwrap();
    let url = format!("https://github.com/{}.git", site.world.repo);
    let clone =
        format!("git:clone\ngit:--quiet\ngit:--branch=dev\ngit:--\ngit:{url}\ngit:/work/repo\n");
    assert!(calls.contains(&clone), "{calls}");
    assert!(calls.contains("git:switch\ngit:--quiet\ngit:-C\ngit:fix/it\nclaude:-p\n"), "{calls}");
    assert!(calls.contains("credential.https://github.com.helper\n"), "{calls}");
    assert!(
        calls.contains("a worker for acme/") && calls.contains("/run/multiclaude-hybrid/task.md"),
        "{calls}"
    );
    let (before, after) = calls.split_once("\n/work/repo\n{ \"mcpServers\"").unwrap();
    assert!(before.ends_with(
        "claude:--mcp-config\nclaude:/work/mcp.json\nclaude:--dangerously-skip-permissions"
    ));
    assert!(after.ends_with("key-of-anthropic token-of-github"), "{calls}");
    // Other processes would see them in arguments.
    assert!(!before.contains("key-of") && !before.contains("token-of"), "{calls}");

    let reason = site.ends(&fails).await.failure_reason.unwrap();
    assert_eq!(reason, "the container ended with exit code 4: no credit");
    // The signal to stop reaches claude, which is not the container's first process.
    site.runner.file(&site.runner.work(waits.id.as_str()).join("waits")).await;
    site.runner.stop();
    let reason = site.get(&waits).await.failure_reason.unwrap();
    assert_eq!(reason, "runner_stopped: the runner was stopped: tidied");
    for request in [&works, &fails, &waits] {
        site.runner.forgets(request.id.as_str()).await;
    }
    assert_eq!(containers.all(), "");
}
