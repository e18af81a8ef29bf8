//! A worker that misbehaves is bounded, ended with all of its processes, and reported.

use super::Site;
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
async fn processes_that_get_away_by_any_way_end_with_their_worker() {
    get_away(&[]).await;
}

#[tokio::test]
async fn so_do_they_where_no_control_group_can_be_made() {
    get_away(&["--no-control-groups"]).await;
}

/// Others of these tests may have sleeps of their own.
fn leaves() -> String {
    let me = std::process::id();
    format!(
        "sleep 600{me} & setsid sleep 601{me} & (setsid sh -c '(sleep 602{me} &) ; sleep 603{me}' &) ; \
         env -i setsid sh -c 'trap \"\" TERM HUP; sleep 604{me} & sleep 605{me}' & sleep 0.3; echo left"
    )
}

async fn get_away(flags: &[&str]) {
    // A chain in which each process starts the next one and ends, too.
    let chain = "use POSIX; POSIX::setsid(); $0 = q(the-chain); for (1 .. 3_000_000) { my $pid = fork; \
                 POSIX::_exit(0) if $pid; }";
    let site = Site::with(flags, &format!("env -i perl -e '{chain}' & {}", leaves())).await;
    let request = site.ask("get away").await;
    let ended = site.ends(&request).await;
    assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
    site.runner.forgets(request.id.as_str()).await;
    // Those that have cleared their environment, too.
    let listed = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for left in ["the-chain", "600", "601", "602", "603", "604", "605"] {
        let sleep = format!("sleep {left}{}", std::process::id());
        assert!(!listed.lines().any(|line| line == left || line == sleep), "{left}:\n{listed}");
    }
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_ends_at_its_timeout() {
    let site =
        Site::with(&["--timeout=2"], "trap '' TERM; echo started; while :; do sleep 1; done").await;
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
async fn a_worker_that_fails_or_cannot_start_says_why() {
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
