//! Many messages in both directions, while programs are killed.

use super::{OF_ANN, OF_DAN, of};
use e2e::{Coordinator, Site, grows};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Each local agent that writes, and its recipient: registered name and local name.
const PAIRS: [(&str, &str, &str); 2] = [("fox", "fox", "fox"), ("default", "workspace", "default")];

/// The messages of one agent: half of those in one direction.
fn bodies(agent: &str) -> Vec<String> {
    let count = if std::env::var_os("SOAK").is_some() { 500 } else { 100 };
    (0..count).map(|n| format!("{agent} says {n}")).collect()
}

/// Two agents of each machine begin to write to two of the other.
fn begin_to_write(dan: &Site, ann: &Site) -> Vec<JoinHandle<()>> {
    let mut writers = Vec::new();
    for (site, other) in [(dan, "ann"), (ann, "dan")] {
        for (agent, to, _) in PAIRS {
            let (writer, to) = (site.writer(agent), format!("{to}-{other}"));
            writers
                .push(spawn(move || bodies(agent).iter().for_each(|body| writer.send(&to, body))));
        }
    }
    writers
}

/// Every message has become one file, in the order of its sender.
async fn all_arrive(dan: &Site, ann: &Site) {
    for (site, other) in [(dan, "ann"), (ann, "dan")] {
        for (agent, name, local) in PAIRS {
            let (from, wanted) = (format!("{name}-{other}"), bodies(agent));
            let what = format!("{} messages from {from} for {local}", wanted.len());
            grows(&what, wanted.len(), async || site.bodies(local, &from).len()).await;
            assert_eq!(site.bodies(local, &from), wanted, "{local} of {}", site.node);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_doubled_or_out_of_order_while_bridges_and_coordinator_are_killed() {
    let (mut coordinator, world) = Coordinator::own().await;
    let (mut dan, mut ann) = of(&world);
    dan.start_bridge(&[]);
    dan.reaches(&[]).await;
    ann.bridge(&[], &OF_DAN).await;
    dan.kill_bridge();
    dan.bridge(&[], &OF_ANN).await;
    let writers = begin_to_write(&dan, &ann);
    let mut round = 0;
    while round < 8 || !writers.iter().all(JoinHandle::is_finished) {
        // Intervals that match no interval of the programs.
        tokio::time::sleep(Duration::from_millis(200 + round * 137 % 500)).await;
        match round % 4 {
            0 => {
                dan.kill_bridge();
                dan.start_bridge(&[]);
            }
            2 => {
                ann.kill_bridge();
                ann.start_bridge(&[]);
            }
            3 => {
                coordinator.kill();
                coordinator.launch().await;
            }
            _ => {}
        }
        round += 1;
    }
    for writer in writers {
        writer.join().unwrap();
    }
    all_arrive(&dan, &ann).await;
}
