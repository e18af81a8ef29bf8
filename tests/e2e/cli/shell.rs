//! `--help`, completions, manual pages: what the shell around sees.

use super::snapshot;
use e2e::Machine;
use std::fs;

#[tokio::test]
async fn the_help_names_every_command_and_exit_status() {
    let mut machine = Machine::new();
    for args in [
        &["--help"][..],
        &["-h"],
        &["login", "--help"],
        &["config", "--help"],
        &["send", "-h"],
        &["inbox", "-h"],
        &["work", "-h"],
        &["agents", "-h"],
        &["nonsense"],
        &[],
    ] {
        machine.run(args);
    }
    snapshot("help", &machine);
}

#[tokio::test]
async fn bash_completes_after_loading_the_completions_and_every_shell_has_some() {
    let mut machine = Machine::new();
    let bash = machine.sh(
        "multiclaude-hybrid completions bash > c.bash && bash -c '. ./c.bash && complete -p multiclaude-hybrid'",
    );
    assert_eq!(bash.code, 0, "{bash:?}");
    assert!(bash.stdout.contains("-F _multiclaude"), "{bash:?}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let ran = machine.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("receipt"), "{shell}");
    }
    assert_eq!(machine.run(&["completions", "csh"]).code, 2);
}

#[tokio::test]
async fn each_command_has_a_manual_page() {
    let mut machine = Machine::new();
    assert_eq!(machine.run(&["man", "pages"]).code, 0);
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
