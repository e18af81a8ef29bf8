//! The command line, as people and scripts use it: the real binary, a real
//! `HOME`, the coordinator in workerd. What it prints is under snapshot test:
//! `INSTA_UPDATE=always` writes new snapshots, to be read before they are kept.

mod about;
mod account;
mod answers;
mod beside;
mod crypt;
mod follow;
mod hostile;
mod ids;
mod json;
mod leftovers;
mod mail;
mod mcp;
mod names;
mod outage;
mod remotes;
mod robust;
mod runner;
mod running;
mod secrecy;
mod seen;
mod shell;
mod shim;
mod team;
mod with_bridge;
mod work;

use e2e::process::{LIMIT, finish};
use e2e::{Machine, World, shared};
use std::process::{Child, Output};

/// A machine whose user dan has logged in with a user token.
async fn dans() -> (Machine, World) {
    let world = shared().await.world().await;
    (on_machine(&world, &world.tokens[0], "lap"), world)
}

/// A machine called `node` that has `token` for the repo of `world`.
fn on_machine(world: &World, token: &str, node: &str) -> Machine {
    let mut machine = Machine::new();
    machine.log_in(&world.url, token, &world.repo, node);
    machine.clear();
    machine
}

/// Waits for a started command, with a deadline, while the test goes on.
async fn ended(child: Child) -> Output {
    tokio::task::spawn_blocking(|| finish(child, "multiclaude-hybrid", LIMIT)).await.unwrap()
}

/// Compares what was run and said with the snapshot `name`; what differs from
/// run to run is replaced.
fn snapshot(name: &str, machine: &Machine) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in [
        (r"\b(tok|agt|spn)_[0-9a-f]{32}", "${1}_ID"),
        (r"\bmsg_[0-9a-f]{32}", "msg_ID"),
        (r"\bmc([aus])_[0-9A-Za-z]{49}", "mc${1}_SECRET"),
        (r"\bmchi_[0-9A-Za-z_-]{40,}", "mchi_INVITATION"),
        (r"\bage1[0-9a-z]{58}", "age1RECIPIENT"),
        (r"whsec_[0-9A-Za-z+/=]{32,}", "whsec_SECRET"),
        (r"127\.0\.0\.1:\d+", "HOST"),
        (
            r#"services cannot be installed here: [^\n"]*"#,
            "services cannot be installed here: REASON",
        ),
        (r#""[^"]+/debug/multiclaude-hybrid""#, "\"PROGRAM\""),
        (r"acme/app\d+", "acme/app"),
        (r"this machine's label: \S+", "this machine's label: LABEL"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\b\d+ s ago", "N s ago"),
        (r"\b\d+ ms\b", "N ms"),
        (r"\b[0-9a-f]{32}\b", "HEX"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, machine.transcript()));
}
