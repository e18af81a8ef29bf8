//! `--help`, completions, manual pages: what the shell around sees.

use super::{dans, snapshot};
use crate::agent;
use e2e::{Machine, until};
use std::fs;

#[tokio::test]
async fn the_help_names_every_command_and_exit_status() {
    let mut machine = Machine::new();
    for args in [
        &["--help"][..],
        &["login", "--help"],
        &["config", "--help"],
        &["send", "-h"],
        &["inbox", "-h"],
        &["work", "-h"],
        &["agents", "-h"],
        &["nonsense"],
    ] {
        machine.run(args);
    }
    snapshot("help", &machine);
    let help = machine.run(&["--help"]).stdout;
    assert_eq!(machine.run(&["-h"]).stdout, help);
    let none = machine.run(&[]);
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert_eq!(none.stderr.trim_end(), help.trim_end());
}

/// The completion of bash after the words `$@`.
const TAB: &str = r#"
. <(multiclaude-hybrid completions bash)
complete=$(complete -p multiclaude-hybrid)
complete=${complete#*-F }
COMP_WORDS=(multiclaude-hybrid "$@")
COMP_CWORD=$#
${complete%% *} multiclaude-hybrid "${COMP_WORDS[COMP_CWORD]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last of `words`.
fn offered(machine: &mut Machine, words: &[&str]) -> Vec<String> {
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let ran = machine.sh(&format!("bash tab.sh {}", words.join(" ")));
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{ran:?}");
    ran.stdout.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_commands_values_types_and_names() {
    let (mut machine, world) = dans().await;
    machine.write("tab.sh", TAB);
    assert_eq!(offered(&mut machine, &["recei"]), ["receipt"]);
    assert_eq!(offered(&mut machine, &["agents", "--status", "st"]), ["stopped"]);
    for words in [
        &["agents", "register", "x", "--type", "merge"][..],
        &["stand-down", "merge"],
        &["bridge", "run", "--serve", "merge"],
    ] {
        assert_eq!(offered(&mut machine, words), ["merge-queue"]);
    }
    world.ann.register(&agent("desk")).await.unwrap();
    world.ann.register(&agent("fox")).await.unwrap();
    let repo = world.repo.as_str();
    for words in [
        &["send", "fo"][..],
        &["send", "-R", repo, "fo"],
        &["inbox", "fo"],
        &["ack", "--all", "fo"],
        &["agents", "show", "fo"],
        &["keys", "trust", "fo"],
        &["send", "desk", "hello", "--from", "fo"],
    ] {
        // It asks for a second at most; a busy machine may need more than that.
        until("a name", async || offered(&mut machine, words) == ["fox"]).await;
    }
    assert!(offered(&mut machine, &["send", "-R", "acme/elsewhere", "fo"]).is_empty());
}

#[tokio::test]
async fn without_a_login_no_name_is_completed_and_nothing_is_printed() {
    let mut machine = Machine::new();
    machine.write("tab.sh", TAB);
    assert!(offered(&mut machine, &["send", "fo"]).is_empty());
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let ran = machine.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("COMPLETE"), "{shell}");
    }
    machine.run(&["completions", "csh"]).exits(2);
}

#[tokio::test]
async fn each_command_has_a_manual_page() {
    let mut machine = Machine::new();
    machine.run(&["man", "pages"]).exits(0);
    let help = machine.run(&["--help"]).stdout;
    let commands = help.split("Start:").nth(1).unwrap().split("Options:").next().unwrap();
    let mut seen = 0;
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        if command == "help" {
            continue;
        }
        let page = machine.path(&format!("pages/multiclaude-hybrid-{command}.1"));
        let text = fs::read_to_string(&page).unwrap_or_else(|_| panic!("no page for {command}"));
        for section in ["DESCRIPTION", "EXAMPLES", "\"EXIT STATUS\"", "\"SEE ALSO\""] {
            assert!(text.contains(&format!(".SH {section}")), "{command}: {section}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} commands: {commands}");
    // A reader that has seen enough is no failure.
    let cut = machine
        .sh("multiclaude-hybrid man | head -c 1 >/dev/null; multiclaude-hybrid --help | head -n 1");
    assert_eq!((cut.code, cut.stderr.as_str()), (0, ""));
}
