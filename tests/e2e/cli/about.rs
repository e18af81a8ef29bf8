//! `version` and `open`.

use super::beside::{AWAY, move_coordinator};
use super::dans;
use e2e::{Machine, until};

#[tokio::test]
async fn the_version_is_shown_with_the_coordinators_even_if_one_is_away() {
    let mut alone = Machine::new();
    let ran = alone.run(&["version"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    let (mut machine, world) = dans().await;
    let shown = machine.run(&["version"]);
    assert!(shown.stdout.contains(&format!(" at {}\n", world.url)), "{shown:?}");
    let known = machine.run(&["version", "--json"]).json();
    assert_eq!(known["coordinators"][0]["url"], world.url.as_str());
    assert!(known["coordinators"][0]["version"].is_string(), "{known}");
    // The same login, of a coordinator that is gone.
    move_coordinator(&machine, &world.url, AWAY);
    let away = machine.run(&["version", "--json"]).exits(0);
    assert!(away.json()["coordinators"][0]["error"].is_string(), "{away:?}");
    let shown = machine.run(&["version"]);
    let (_, line) = shown.stdout.split_once('\n').unwrap();
    assert!(line.starts_with("coordinator at http://127.0.0.1:1/v1: unknown ("), "{shown:?}");
}

#[tokio::test]
async fn the_reference_is_opened_where_there_is_a_display() {
    let (mut machine, world) = dans().await;
    machine.install(
        "xdg-open",
        "#!/bin/sh\nprintf %s \"$1\" >\"$HOME/part\"\nmv \"$HOME/part\" \"$HOME/opened\"\n",
    );
    let url = format!("{}/docs", world.url);
    let ran = machine.run(&["open"]);
    assert_eq!((ran.code, ran.stdout.trim()), (0, url.as_str()), "{ran:?}");
    assert!(!machine.path("opened").exists());
    machine.set("DISPLAY", ":0");
    let ran = machine.run(&["open", "--json"]);
    assert_eq!(ran.json()["url"], url.as_str());
    machine.run(&["open"]).exits(0);
    until("it is opened", async || machine.path("opened").exists()).await;
    assert_eq!(std::fs::read_to_string(machine.path("opened")).unwrap(), url);
    std::fs::remove_file(machine.path("bin/xdg-open")).unwrap();
    machine.set("PATH", machine.path("bin").to_str().unwrap());
    let ran = machine.run(&["open"]).exits(0);
    assert!(ran.stderr.contains("no browser was opened"), "{ran:?}");
}
