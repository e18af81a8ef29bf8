//! A misbehaving worker is limited, ended with all of its processes, and reported.

use super::Site;
use e2e::process::{LIMIT, output};
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

async fn fails(site: &Site, task: &str) -> String {
    let request = site.ask(task).await;
    let ended = site.ends(&request).await;
    assert_eq!(ended.status, SpawnStatus::Failed, "{ended:?}");
    site.runner.forgets(request.id.as_str()).await;
    ended.failure_reason.unwrap()
}

#[tokio::test]
async fn detached_processes_end_with_their_worker() {
    get_away(&[]).await;
}

#[tokio::test]
async fn detached_processes_end_with_their_worker_also_without_control_groups() {
    get_away(&["--no-control-groups"]).await;
}

/// Each process starts the next one and exits, so that a list of processes is outdated at
/// once; not so fast that its zombies take all process ids of this machine. The chain has an
/// end, in case a test fails.
const CHAIN: &str = "#include <unistd.h>\nint main(void) { setsid();\n\
    for (long n = 0; n < 100000; n++) { if (fork()) _exit(0); usleep(500); }\n return 0; }\n";

async fn get_away(flags: &[&str]) {
    let mut site = Site::idle().await;
    let (chain, held) = (site.runner.machine.path("chain"), site.runner.machine.path("held"));
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-O2", "-x", "c", "-", "-o"]).arg(&chain);
    let compiled = output(&mut compiler, CHAIN.as_bytes(), LIMIT);
    assert!(compiled.status.success(), "{compiled:?}");
    // Every process of the worker holds the lock, with any name, parent and environment.
    let line = "exec 9>\"$HOME/held\"; flock 9; for n in 1 2; do env -i \"$HOME/chain\" & done; \
        sleep 600 & setsid sleep 601 & (setsid sh -c '(sleep 602 &) ; sleep 603' &) ; \
        env -i setsid sh -c 'trap \"\" TERM HUP; sleep 604 & sleep 605' & sleep 0.5; echo left";
    site.runner.start_sh(flags, line);
    let request = site.ask("get away").await;
    let ended = site.ends(&request).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
    let held = std::fs::File::open(held).unwrap();
    assert!(held.try_lock().is_ok(), "a process of the worker lives");
    site.runner.forgets(request.id.as_str()).await;
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_ends_at_its_timeout() {
    let site = Site::with(
        &["--worker-timeout=2"],
        "trap '' TERM; echo started; while :; do sleep 1; done",
    )
    .await;
    let begun = Instant::now();
    let reason = fails(&site, "run for ever").await;
    assert!(reason.starts_with("timeout: it was stopped after"), "{reason}");
    assert!(begun.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn a_gigabyte_of_output_takes_bounded_space_and_its_end_is_kept() {
    let mut site = Site::idle().await;
    site.runner.start_sh(
        &["--max-output=1M", "--keep-work"],
        "head -c 1000000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; \
         du -cb \"$HOME\"/.multiclaude-hybrid/runner/workers/*/output* | tail -n1 >\"$HOME/size\"",
    );
    let request = site.ask("print a lot").await;
    let ended = site.ends(&request).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{:?}", ended.failure_reason);
    assert!(ended.summary.unwrap().ends_with("the end"));
    let size = site.runner.file(&site.runner.machine.path("size")).await;
    let bytes: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    assert!(bytes <= 1 << 20, "{bytes}");
}

#[tokio::test]
async fn a_worker_that_fills_its_directory_is_stopped() {
    let site = Site::with(
        &["--max-disk=20M"],
        "while :; do head -c 5000000 /dev/zero >>filled; sleep 0.2; done",
    )
    .await;
    let reason = fails(&site, "fill the disk").await;
    assert!(reason.starts_with("disk_limit"), "{reason}");
}

#[tokio::test]
async fn the_reason_is_reported_if_a_worker_fails_or_cannot_start() {
    let site = Site::new("echo one; echo 'no such file: x' >&2; exit 3").await;
    let reason = fails(&site, "fail").await;
    assert_eq!(reason, "sh ended with exit code 3: no such file: x");
    let mut site = Site::idle().await;
    let program = site.runner.machine.path("bin/agent");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    site.runner.start(&[], &[program.to_str().unwrap(), "{task}"]);
    let reason = fails(&site, "start").await;
    assert!(reason.contains("bin/agent") && reason.contains("No such file"), "{reason}");
    let site = Site::new("kill -KILL $$").await;
    assert_eq!(fails(&site, "die").await, "sh was ended by signal 9");
}
