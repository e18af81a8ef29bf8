//! Workers in containers, with podman: they work like other workers, see nothing of this
//! machine, and leave nothing behind.

use super::Site;
use crate::message;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::{Containers, Machine, eventually, marked, until};
use multiclaude_hybrid_protocol::message::MessageStatus;
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use rustix::process::{Signal, kill_process};
use serde_json::json;
use std::fs;

/// Runs until the test makes a file.
const UNTIL_OVER: &str = "until [ -e /work/over ]; do sleep 0.1; done";

/// A repo with a runner whose workers run in containers.
struct Boxes {
    site: Site,
    containers: Containers,
}

impl Boxes {
    /// The runner is not started yet.
    async fn idle() -> Self {
        Self { site: Site::idle().await, containers: Containers::new() }
    }

    /// The workers run this line of shell.
    async fn with(flags: &[&str], line: &str) -> Self {
        let mut boxes = Self::idle().await;
        boxes.start(flags, &["sh", "-c", line]);
        boxes
    }

    fn start(&mut self, flags: &[&str], command: &[&str]) {
        let own = self.containers.flags();
        let flags: Vec<_> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        self.site.runner.start(&flags, command);
    }

    /// Ends a worker that runs [`UNTIL_OVER`].
    fn over(&self, request: &SpawnRequest) {
        fs::write(self.site.runner.work(request.id.as_str()).join("over"), "x").unwrap();
    }

    /// Waits until a worker has written a file, and returns its content.
    async fn file(&self, request: &SpawnRequest, name: &str) -> String {
        self.site.runner.file(&self.site.runner.work(request.id.as_str()).join(name)).await
    }

    /// Waits for its failure, and returns the reason.
    async fn fails(&self, request: &SpawnRequest) -> String {
        let ended = self.site.ends(request).await;
        assert_eq!(ended.status, SpawnStatus::Failed, "{ended:?}");
        self.forgets(request).await;
        ended.failure_reason.unwrap()
    }

    /// Waits until nothing of a worker is left: no directory, process or container.
    async fn forgets(&self, request: &SpawnRequest) {
        let id = request.id.as_str();
        self.site.runner.forgets(id).await;
        assert!(!self.site.runner.given(id).exists());
        let filter = format!("--filter=name={id}");
        let left = self.containers.podman(&["ps", "--all", "--external", "--quiet", &filter]);
        assert_eq!(left, "", "a container is left");
    }

    /// Is this limited here? If not, the runner has to report that.
    fn limits(&self, controller: &str, name: &str) -> bool {
        let status = self.site.runner.status();
        let not = status["not_enforced"].as_array().unwrap().contains(&json!(name));
        assert_eq!(self.containers.limits(controller), !not, "{status}");
        !not
    }
}

#[tokio::test]
async fn a_task_reaches_a_container_byte_for_byte_and_nothing_is_left() {
    let mut boxes = Boxes::idle().await;
    // The image's own command reports the bytes of the task.
    boxes.start(&[], &[]);
    let site = &boxes.site;
    let mut dan = Machine::new();
    dan.run_with(&["login", "--url", &site.world.url], &site.world.tokens[0]).exits(0);
    let task = "it's \"quoted\"\n$(touch /work/proof)\t`x` {task} Ümläut \\ ; rm -rf /";
    let ran = dan.run(&["work", "--remote", "--repo", &site.world.repo, "--wait", "--json", task]);
    assert_eq!(ran.code, 0, "{ran:?}\n{}", site.runner.log());
    let requests = site.world.dan.call(Method::GET, "/workers", &[], None).await.unwrap();
    let request = requests.json::<Vec<SpawnRequest>>().unwrap().remove(0);
    assert_eq!(request.status, SpawnStatus::Completed);
    assert_eq!(request.summary, Some(BASE64_STANDARD.encode(task)));
    boxes.forgets(&request).await;
    assert_eq!(boxes.containers.all(), "");
    let work = site.runner.machine.path(".multiclaude-hybrid/runner/work");
    assert_eq!(fs::read_dir(work).unwrap().count(), 0);
}

#[tokio::test]
async fn a_worker_has_no_rights_and_sees_nothing_of_the_machine_but_its_directory_and_secrets() {
    let mut boxes = Boxes::idle().await;
    let machine = &mut boxes.site.runner.machine;
    machine.write("secret", "the-secret-value");
    for (name, value) in [("OF_THE_RUNNER", "hunter2"), ("https_proxy", "http://me:hunter2@p")] {
        machine.set(name, value);
    }
    machine.set("PASSED", "passed on");
    let secret = format!("--secret=anthropic={}", machine.path("secret").display());
    let line = "cd /; exec >/work/seen 2>&1; touch /x /bin/x /etc/x /run/multiclaude-hybrid/x; cat /run/secrets/anthropic; echo; \
                echo x >>/run/secrets/anthropic; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; \
                cat /proc/self/mountinfo; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n' >/work/env; \
                touch /tmp/x /work/x; sh -c 'cp /bin/busybox /tmp/sh && ln -s sh /tmp/echo && /tmp/echo ran'; \
                mount -t tmpfs none /tmp; chown 1:1 /work/x; echo all >>/work/env; echo all >/work/all; ";
    boxes.start(&[&secret, "--env=PASSED"], &["sh", "-c", &format!("{line}{UNTIL_OVER}")]);
    let request = boxes.site.ask("look around").await;
    boxes.file(&request, "all").await;
    let (seen, env) = (boxes.file(&request, "seen").await, boxes.file(&request, "env").await);
    for file in ["/x", "/bin/x", "/etc/x", "/run/multiclaude-hybrid/x"] {
        assert!(seen.contains(&format!("{file}: Read-only file system")), "{seen}");
    }
    assert!(
        seen.contains("the-secret-value\n") && seen.contains("/run/secrets/anthropic: Read-only")
    );
    for set in ["Inh", "Prm", "Eff", "Bnd", "Amb"] {
        assert!(seen.contains(&format!("Cap{set}:\t0000000000000000")), "{seen}");
    }
    assert!(seen.contains("NoNewPrivs:\t1") && seen.contains("\nran\n"), "{seen}");
    assert!(seen.contains("mount: permission denied") && seen.contains("chown: /work/x"), "{seen}");
    // Only files of a disk, not those that the kernel or the engine provides.
    let virtual_ = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay"];
    let mounts = seen.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let kind = kind.split_whitespace().next()?;
        (!virtual_.contains(&kind)).then_some(mount.split_whitespace().nth(4)?)
    });
    let known = |mount: &&str| {
        matches!(*mount, "/" | "/work" | "/run/multiclaude-hybrid" | "/run/secrets/anthropic")
            || *mount == "/run/.containerenv"
            || ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(mount)
    };
    assert_eq!(
        mounts.filter(|mount| !known(mount)).collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "{seen}"
    );
    assert!(env.contains("PASSED=passed on") && env.contains("MULTICLAUDE_HYBRID_NAME=worker-"));
    for secret in ["hunter2", "the-secret-value", "mcs_", "OF_THE_RUNNER"] {
        assert!(!env.contains(secret), "{env}");
    }
    // Other users of the machine cannot see the secret either.
    let pids = marked(request.id.as_str());
    assert!(pids.len() >= 2, "the engine and the worker run: {pids:?}");
    for pid in pids {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains("the-secret-value"));
        }
    }
    boxes.over(&request);
    assert_eq!(boxes.site.ends(&request).await.status, SpawnStatus::Completed);
    boxes.forgets(&request).await;
}

#[tokio::test]
async fn a_worker_in_a_container_sends_and_receives_through_its_socket() {
    let mut boxes = Boxes::idle().await;
    let dan = &boxes.site.world.dan;
    dan.register(&crate::agent("dan-ws")).await.unwrap();
    let line = "call() { multiclaude-hybrid mcp call --json \"$@\"; }; \
        call send_message '{\"to\": \"dan-ws\", \"body\": \"what now?\"}' || exit 1; \
        until id=$(call list_messages | grep -o 'msg_[a-z0-9_-]*' | head -n1) && [ -n \"$id\" ]; do sleep 0.1; done; \
        call read_message \"{\\\"id\\\": \\\"$id\\\"}\" >/work/read; \
        setsid sh -c \"multiclaude-hybrid mcp call --json ack_message '{\\\"id\\\": \\\"$id\\\"}' >/work/acked\"; \
        until [ -s /work/acked ]; do sleep 0.1; done; env; grep -rE 'mc[aus]_[A-Za-z0-9]{30}' /work; ";
    boxes.start(&[], &["sh", "-c", &format!("{line}{UNTIL_OVER}")]);
    let dan = &boxes.site.world.dan;
    let request = boxes.site.ask("Ask dan").await;
    let name = boxes.site.works(&request).await.worker_name.unwrap();
    let asked = eventually("its question", || async {
        dan.messages("dan-ws", "").await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!((asked.from.to_string(), asked.body.as_str()), (name.to_string(), "what now?"));
    let answer = dan.send(&message("dan-ws", name.as_str(), "carry on\n!x"), None).await.unwrap();
    boxes.file(&request, "acked").await;
    assert!(boxes.file(&request, "read").await.contains("carry on\\n!x"));
    let receipt = dan.receipt(&answer.id.to_string()).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Acked);
    // A process of this machine, even of the same user.
    let socket = boxes.site.runner.given(request.id.as_str()).join("socket");
    let machine = &mut boxes.site.runner.machine;
    machine.set("MULTICLAUDE_HYBRID_SOCKET", socket.to_str().unwrap());
    let ran = machine.run(&["mcp", "call", "list_agents"]);
    assert!(ran.code != 0 && ran.stderr.contains("does not belong to the worker"), "{ran:?}");
    boxes.over(&request);
    let ended = boxes.site.ends(&request).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
    let printed = ended.summary.unwrap();
    assert!(
        printed.contains("MULTICLAUDE_HYBRID_SOCKET=/run/multiclaude-hybrid/socket"),
        "{printed}"
    );
    assert!(!printed.contains("mcs_"), "{printed}");
}

#[tokio::test]
async fn a_worker_gets_no_more_memory_and_processes_than_allowed() {
    let line = "case $(cat /run/multiclaude-hybrid/task.md) in \
        memory) until [ -e /work/over ]; do sleep 0.1; done; exec tail -c 300000000 /dev/zero;; \
        *) i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i + 1)); done; echo all;; esac";
    let flags = ["--memory=64M", "--cpus=1.5", "--processes=30", "--max-workers=2"];
    let boxes = Boxes::with(&flags, line).await;
    let memory = boxes.site.ask("memory").await;
    boxes.site.supervisor(memory.id.as_str()).await;
    let is_limited = |controller, name| boxes.limits(controller, name);
    let status = boxes.site.runner.status();
    until(&format!("the status shows it: {status}"), async || {
        boxes.site.runner.status()["workers"][0]["stage"] == "running"
    })
    .await;
    let (of_memory, of_processes) =
        (is_limited("memory", "memory"), is_limited("pids", "processes"));
    boxes.over(&memory);
    let ended = boxes.site.ends(&memory).await;
    let reason = ended.failure_reason.unwrap_or_default();
    assert_eq!(
        reason.contains("signal 9, which happens if it needs more memory"),
        of_memory,
        "{reason}"
    );
    boxes.forgets(&memory).await;
    let forks = boxes.site.ask("forks").await;
    let ended = boxes.site.ends(&forks).await;
    let reason = ended.failure_reason.unwrap_or_default();
    assert_eq!(reason.contains("can't fork"), of_processes, "{reason}");
    boxes.forgets(&forks).await;
}

#[tokio::test]
async fn a_worker_that_misbehaves_in_a_container_is_bounded_ended_and_reported() {
    let away = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 811 & sleep 812' &); \
        env -i setsid sleep 813 & echo started >/work/started; while :; do sleep 1; done";
    let line = format!(
        "case $(cat /run/multiclaude-hybrid/task.md) in \
         flood) head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the end; echo x >/work/printed; {UNTIL_OVER};; \
         ends) (setsid sleep 814 &); sleep 815 & echo ended;; \
         *) {away};; esac"
    );
    let boxes = Boxes::with(&["--max-output=1M", "--max-workers=4", "--lease=30"], &line).await;
    let site = &boxes.site;
    let flood = site.ask("flood").await;
    let ends = site.ask("ends").await;
    let timeout = json!({ "task": "run for ever", "metadata": { "timeout_secs": "2" } });
    let timeout = site.ask_with(timeout).await;
    let cancel = site.ask("run until cancelled").await;
    assert_eq!(site.ends(&ends).await.status, SpawnStatus::Completed);
    boxes.forgets(&ends).await;
    boxes.file(&cancel, "started").await;
    let path = format!("/workers/{}", cancel.id);
    site.world.dan.call(Method::DELETE, &path, &[], None).await.unwrap();
    let reason = boxes.fails(&timeout).await;
    assert!(reason.starts_with("timeout: it was stopped after"), "{reason}");
    assert_eq!(boxes.fails(&cancel).await, "cancelled");
    boxes.file(&flood, "printed").await;
    let files = fs::read_dir(site.runner.worker(flood.id.as_str())).unwrap().flatten();
    let output = files.filter(|file| file.file_name().to_string_lossy().starts_with("output"));
    let size: u64 = output.map(|file| file.metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20, "{size}");
    boxes.over(&flood);
    let ended = site.ends(&flood).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
    assert!(ended.summary.unwrap().ends_with("the end"));
    boxes.forgets(&flood).await;
    let listed = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for sleep in ["sleep 811", "sleep 812", "sleep 813", "sleep 814", "sleep 815"] {
        assert!(!listed.lines().any(|line| line == sleep), "{sleep} runs:\n{listed}");
    }
    assert_eq!(boxes.containers.all(), "");
}

#[tokio::test]
async fn a_container_outlives_its_runner_and_is_removed_when_its_supervisor_is_killed() {
    let line = format!("trap '' TERM; echo x >/work/started; {UNTIL_OVER}; echo over");
    let mut boxes = Boxes::with(&["--max-workers=2"], &line).await;
    let (follow, lose) = (boxes.site.ask("follow").await, boxes.site.ask("lose").await);
    for request in [&follow, &lose] {
        boxes.file(request, "started").await;
    }
    boxes.site.runner.kill();
    assert_eq!(boxes.containers.all().lines().count(), 2);
    boxes.start(&["--max-workers=2"], &["sh", "-c", &line]);
    until("they are followed", async || {
        let log = boxes.site.runner.log();
        log.matches("a worker of an earlier runner is followed").count() == 2
    })
    .await;
    let supervisor = boxes.site.supervisor(lose.id.as_str()).await;
    kill_process(supervisor, Signal::KILL).unwrap();
    let reason = boxes.fails(&lose).await;
    assert!(reason.starts_with("its supervisor was killed"), "{reason}");
    assert_eq!(boxes.containers.all().lines().count(), 1);
    boxes.over(&follow);
    let ended = boxes.site.ends(&follow).await;
    assert_eq!((ended.status, ended.summary.as_deref()), (SpawnStatus::Completed, Some("over")));
    boxes.forgets(&follow).await;
}

#[tokio::test]
async fn the_reason_is_reported_if_a_container_fails_or_cannot_be_started() {
    let mut boxes = Boxes::with(&[], "echo one; echo 'no such file: x' >&2; exit 3").await;
    let reason = boxes.fails(&boxes.site.ask("fail").await).await;
    assert_eq!(reason, "the container ended with exit code 3: no such file: x");
    boxes.site.runner.stop();
    boxes.start(&[], &["/no/such/program", "{task}"]);
    let reason = boxes.fails(&boxes.site.ask("start").await).await;
    assert!(reason.starts_with("there is no such program in the container"), "{reason}");
    assert!(reason.contains("/no/such/program"), "{reason}");
    boxes.site.runner.stop();
    let image = format!("--image={}=localhost/missing", boxes.site.world.repo);
    boxes.start(&[&image], &["true"]);
    let reason = boxes.fails(&boxes.site.ask("start").await).await;
    assert!(reason.starts_with("podman could not run the container: Error: "), "{reason}");
    assert!(reason.contains("localhost/missing: image not known"), "{reason}");
}
