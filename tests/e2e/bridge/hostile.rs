//! Intruders, odd names and odd file systems.

use super::{OF_ANN, bridged, of, reaching};
use axum::http::HeaderMap;
use e2e::{Machine, Sink, Site, eventually, shared, until};
use multiclaude_hybrid_protocol::webhook::Secret;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// All paths below a directory.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(tree(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

#[tokio::test]
async fn names_that_are_paths_create_no_file() {
    let (dan, ann, world) = bridged(&[]).await;
    for name in ["../../x", "..", "a/b", ".", "x\0y", "daemon.sock"] {
        let body = json!({"name": name, "type": "worker"});
        assert!(world.ann.register(&body).await.is_err(), "{name}");
        let body = json!({"from": name, "to": "fox-dan", "body": "x"});
        assert!(world.ann.send(&body, None).await.is_err(), "{name}");
    }
    // multiclaude itself uses a typed name as a path below messages/, and the message is
    // returned. The command fails if the bridge removes a directory before it is done.
    until("it is written", async || {
        let sent = dan.multiclaude(Some("fox"), &["message", "send", "a/b", "to a path"]);
        sent.status.success()
    })
    .await;
    until("the notice", async || {
        dan.files("fox")
            .iter()
            .any(|file| file["body"].as_str().is_some_and(|body| body.contains("no agent can")))
    })
    .await;
    let messages = dan.machine.path(".multiclaude/messages");
    let links: Vec<_> = fs::read_dir(messages.join("app"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(links.iter().all(|name| !name.to_string_lossy().contains("..")), "{links:?}");
    assert!(!tree(&dan.machine.path(".multiclaude-hybrid")).iter().any(|path| path.ends_with("x")));
    drop(ann);
}

#[tokio::test]
async fn an_odd_nickname_and_an_odd_home_work() {
    let world = shared().await.world().await;
    let mut ann = Site::new(&world, &world.tokens[1], "ann");
    ann.start_bridge(&[]);
    ann.reaches(&[]).await;
    for nickname in ["a.b", "a:b", "a b"] {
        let mut dan = Site::with(Machine::new(), &world, &world.tokens[0], "dan", nickname, true);
        dan.bridge(&[], &OF_ANN).await;
        dan.send("fox", "fox-ann", nickname);
        let got = ann.receives("fox", nickname).await;
        assert_eq!(got["from"], "fox-dan");
        ann.send("fox", "fox-dan", nickname);
        dan.receives("fox", nickname).await;
        dan.status_with("its windows are seen", |status| {
            let agents = status["repos"][0]["agents"].as_array()?;
            agents.iter().any(|agent| agent["status"] == "active").then_some(())
        })
        .await;
        // The next home has the same label, so this one has to leave.
        dan.machine.run(&["leave", &world.repo]).exits(0);
    }
}

#[tokio::test]
async fn a_home_behind_a_link_with_spaces_and_deep_in_the_tree_works() {
    let world = shared().await.world().await;
    let mut ann = Site::new(&world, &world.tokens[1], "ann");
    ann.start_bridge(&[]);
    ann.reaches(&[]).await;
    let machine = Machine::in_home(&format!("a home with spaces/{}", "d".repeat(60)));
    let mut dan = Site::with(machine, &world, &world.tokens[0], "dan", "app", false);
    dan.bridge(&[], &OF_ANN).await;
    dan.send("fox", "fox-ann", "from afar");
    ann.receives("fox", "from afar").await;
    ann.send("fox", "fox-dan", "to afar");
    dan.receives("fox", "to afar").await;
}

#[tokio::test]
async fn a_local_agent_keeps_its_messages_if_a_remote_name_differs_only_in_case() {
    let (dan, ann, _) = reaching(&[], &[]).await;
    dan.ok(&["worker", "create", "a task", "--repo", "app", "--name", "Wolf-Ann"]);
    dan.send("fox", "Wolf-Ann", "before");
    ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
    ann.registers("wolf-ann").await;
    // Its sender gets a link now, if that is possible.
    ann.send("wolf", "fox-dan", "from wolf");
    dan.receives("fox", "from wolf").await;
    dan.send("fox", "Wolf-Ann", "after");
    for text in ["before", "after"] {
        dan.receives("Wolf-Ann", text).await;
    }
    // There is a link if the file system distinguishes the two, and a reason otherwise.
    let same = std::fs::symlink_metadata(dan.messages("wolf-ANN")).is_ok();
    dan.status_with("the other name is linked or not, with the reason", |status| {
        let reason = &status["repos"][0]["unlinked"]["wolf-ann"];
        let refused = reason.as_str().is_some_and(|reason| reason.contains("does not distinguish"));
        let linked = dan.messages("wolf-ann").is_symlink();
        (if same { refused && !linked } else { linked }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn status_and_doctor_report_a_home_in_which_multiclaude_cannot_listen() {
    let world = shared().await.world().await;
    // The path itself is too long for a socket, without a link.
    let mut machine = Machine::in_long_home(&"d".repeat(100));
    machine.run_with(&["login", "--url", &world.url], &world.tokens[0]).exits(0);
    machine.multiclaude(&format!("https://github.com/{}", world.repo), &[("fox", "worker")]);
    machine.run(&["config", &world.repo, "--hybrid=true", "--node=deep"]).exits(0);
    for args in [&["status"][..], &["doctor"]] {
        let shown = machine.run(args).stdout;
        let reason = "cannot run in this home: the path of its socket has";
        assert!(shown.contains(reason) && shown.contains("set HOME to a shorter path"), "{shown}");
    }
}

/// Makes a push; returns the status of the answer.
async fn push(url: &str, headers: &[(&str, String)], body: &str) -> u16 {
    let mut request = reqwest::Client::new().post(url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn forged_replayed_late_and_oversized_pushes_are_refused() {
    let world = shared().await.world().await;
    let (mut dan, mut ann) = of(&world);
    // It records and forwards every push between coordinator and bridge.
    let sink = Sink::start(Vec::new()).await;
    let port = e2e::free_port();
    let (listen, public) = (format!("127.0.0.1:{port}"), sink.url.replace("/hook", ""));
    sink.forward_to(&format!("http://127.0.0.1:{port}"));
    ann.start_bridge(&["--listen", &listen, "--public-url", &public]);
    ann.reaches(&[]).await;
    dan.bridge(&[], &OF_ANN).await;
    ann.status_with("webhook", |status| {
        (status["repos"][0]["delivery"] == "webhook").then_some(())
    })
    .await;
    dan.send("fox", "fox-ann", "a real one");
    ann.receives("fox", "a real one").await;
    let real = eventually("the push is recorded", || async {
        sink.received().into_iter().find(|push| push.text() == "a real one")
    })
    .await;
    let url = format!("http://127.0.0.1:{port}/hook/{}/fox-ann", world.repo);
    let of_real = |headers: &HeaderMap| -> Vec<(&'static str, String)> {
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| (name, headers[name].to_str().unwrap().to_owned()))
            .to_vec()
    };
    // A copy.
    assert_eq!(push(&url, &of_real(&real.headers), &real.body).await, 409);
    // For another agent.
    let other = url.replace("fox-ann", "workspace-ann");
    assert_eq!(push(&other, &of_real(&real.headers), &real.body).await, 401);
    // Changed.
    assert_eq!(push(&url, &of_real(&real.headers), &real.body.replace("real", "fake")).await, 401);
    // Forged, signed under another secret.
    let forged = |id: &str, at: i64, body: &str| {
        let secret = Secret::new([7; 32]);
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", secret.sign(id, at, body)),
        ]
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        as i64;
    assert_eq!(push(&url, &forged(&real.id(), now, &real.body), &real.body).await, 401);
    assert_eq!(push(&url, &[], &real.body).await, 401);
    // Late: with an old time, the signature is not valid.
    let mut late = of_real(&real.headers);
    late[1].1 = (now - 3600).to_string();
    assert_eq!(push(&url, &late, &real.body).await, 401);
    assert_eq!(push(&url, &of_real(&real.headers), &"x".repeat(600 * 1024)).await, 413);
    assert_eq!(push(&url.replace("fox-ann", "nobody"), &[], "{}").await, 404);
    assert_eq!(reqwest::get(&url).await.unwrap().status().as_u16(), 405);
    let files: Vec<Value> = ann.files("fox");
    assert_eq!(files.iter().filter(|file| file["from"] == "fox-dan").count(), 1, "{files:?}");
}

#[tokio::test]
async fn a_sender_that_cannot_be_linked_does_not_block_messages() {
    let (mut dan, ann, _) = reaching(&[], &[]).await;
    // A foreign link is in the place of the link to Ann's new worker.
    std::os::unix::fs::symlink("/elsewhere", dan.messages("wolf-ann")).unwrap();
    ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
    ann.registers("wolf-ann").await;
    ann.send("wolf", "fox-dan", "from wolf");
    ann.send("fox", "fox-dan", "from fox");
    dan.receives("fox", "from wolf").await;
    dan.receives("fox", "from fox").await;
    // Messages that the last hop holds are known after a restart, too.
    dan.kill_bridge();
    dan.start_bridge(&[]);
    dan.status_with("both are held", |status| {
        let held = status["repos"][0]["held"].as_array()?;
        (held
            .iter()
            .filter(|held| {
                held["reason"].as_str().is_some_and(|reason| reason.ends_with("no claude"))
            })
            .count()
            == 2)
            .then_some(())
    })
    .await;
}
