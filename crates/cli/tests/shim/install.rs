//! Installed in a home, the shim is what its shells find; taken away, nothing
//! of it is left.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use multiclaude_hybrid::home::Home;
use multiclaude_hybrid::shim::install::{
    Change, Dotfiles, Report, install, is_installed, uninstall,
};
use multiclaude_hybrid::shim::login_shell::{Seen, on_path, seen_by_login_shell};

use crate::bench::{BINARY, Bench, output, stdout_path};

/// As most distributions have it.
const GUARDED_BASHRC: &str = "case $- in *i*) ;; *) return ;; esac\nalias ll='ls -l'\n";
const PROFILE: &str = "if [ -n \"$BASH_VERSION\" ] && [ -f \"$HOME/.bashrc\" ]; then\n    . \"$HOME/.bashrc\"\nfi\nPATH=\"$HOME/bin:$PATH\"\n";

struct Person {
    bench: Bench,
    dotfiles: Dotfiles,
}

impl Person {
    /// With a multiclaude of their own in `~/bin`, and these files.
    fn new(files: &[(&str, &str)]) -> Self {
        Self::called("home", files)
    }

    fn called(name: &str, files: &[(&str, &str)]) -> Self {
        let bench = Bench::without_shim();
        let dir = bench.at(name);
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::copy(bench.at("real/multiclaude"), dir.join("bin/multiclaude")).unwrap();
        for (file, text) in files {
            fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs::write(dir.join(file), text).unwrap();
        }
        Self { bench, dotfiles: Dotfiles::new(Home::new(dir)) }
    }

    fn home(&self) -> &Home {
        &self.dotfiles.home
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home().user().join(name)
    }

    fn shim(&self) -> PathBuf {
        self.home().shim()
    }

    fn install(&self, shell: &str) -> Report {
        install(&self.dotfiles, Path::new(BINARY), Some(OsStr::new(shell))).unwrap()
    }

    fn finds(&self, shell: &str, options: &[&str]) -> PathBuf {
        let mut command: Command = self.bench.command(shell);
        command.env("HOME", self.home().user()).args(options);
        stdout_path(&output(&mut command))
    }

    /// Everything below the home: kind, mode, and bytes or target.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u32, OsString)> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.home().user().to_owned()];
        while let Some(path) = open.pop() {
            let meta = path.symlink_metadata().unwrap();
            let content = if meta.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                OsString::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().into()
            } else {
                use std::os::unix::ffi::OsStringExt;
                OsString::from_vec(fs::read(&path).unwrap())
            };
            all.insert(path, (meta.mode(), content));
        }
        all
    }
}

const ASK: &str = "command -v multiclaude";

#[test]
fn every_kind_of_bash_finds_the_shim() {
    for files in [
        &[][..],
        &[(".bashrc", GUARDED_BASHRC)],
        &[(".bashrc", GUARDED_BASHRC), (".profile", PROFILE)],
        &[(".profile", "PATH=\"$HOME/bin:$PATH\"")],
        &[(".bash_profile", PROFILE), (".profile", "exit 1\n")],
        &[(".bash_login", "PATH=~/bin:$PATH"), (".bashrc", "set -u\n")],
    ] {
        let person = Person::new(files);
        person.install("/bin/bash");
        let shim = person.shim();
        assert_eq!(person.finds("bash", &["-l", "-c", ASK]), shim, "{files:?}");
        assert_eq!(
            seen_by_login_shell(Path::new("/bin/bash"), person.home()).unwrap(),
            Seen::Answer(shim.clone().into()),
            "{files:?}"
        );
        let in_terminal = format!("set +u; . ~/.bashrc; {ASK}");
        if !files.contains(&(".bashrc", GUARDED_BASHRC)) {
            assert_eq!(person.finds("bash", &["-c", &in_terminal]), shim);
        }
    }
}

#[test]
fn a_login_sh_finds_the_shim() {
    for shell in ["/bin/sh", "/bin/dash", "/bin/bash"] {
        let person = Person::new(&[(".profile", PROFILE)]);
        person.install(shell);
        assert_eq!(person.finds("sh", &["-l", "-c", ASK]), person.shim());
    }
}

#[test]
fn zsh_and_fish_find_the_shim() {
    for name in ["zsh", "fish"] {
        let shell = on_path(name)
            .unwrap_or_else(|| panic!("{name} is not installed; `scripts/check test` says how"));
        let person = Person::called("it's \"my\" home", &[]);
        let path = shell.to_str().unwrap();
        person.install(path);
        for options in [&["-l", "-c", ASK][..], &["-l", "-i", "-c", ASK]] {
            assert_eq!(person.finds(path, options), person.shim());
        }
        let seen = seen_by_login_shell(&shell, person.home()).unwrap();
        assert_eq!(seen, Seen::Answer(person.shim().into()));
    }
}

#[test]
fn a_home_may_be_called_anything() {
    for name in ["with space", "it's", "a\"b", "$HOME`id`", "*", "new\nline", "a\\b"] {
        let person = Person::called(name, &[(".profile", PROFILE)]);
        person.install("/bin/bash");
        assert_eq!(person.finds("bash", &["-l", "-c", ASK]), person.shim(), "{name}");
        assert_eq!(
            person.finds("sh", &["-l", "-c", "printf '%s\n' \"${PATH%%:*}\""]),
            person.shim().parent().unwrap()
        );
    }
}

#[test]
fn a_home_that_cannot_be_on_a_path_is_refused() {
    let person = Person::called("a:b", &[]);
    let before = person.snapshot();
    assert!(install(&person.dotfiles, Path::new(BINARY), None).is_err());
    assert_eq!(person.snapshot(), before);
}

#[test]
fn the_shim_is_first_and_only_once_in_a_shell_in_a_shell() {
    let person = Person::new(&[(".profile", "")]);
    person.install("/bin/bash");
    let nested = "bash -l -c 'bash -l -c \"printf %s\\\\\\\\n \\\\$PATH\"'";
    let path = person.finds("bash", &["-l", "-c", nested]);
    let shim_dir = person.shim().parent().unwrap().to_owned();
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    assert_eq!(dirs.first(), Some(&shim_dir), "{dirs:?}");
    assert_eq!(dirs.iter().filter(|dir| **dir == shim_dir).count(), 1);
}

#[test]
fn installing_again_changes_nothing() {
    let person = Person::new(&[(".profile", "no end"), (".zshrc", "")]);
    assert!(!person.install("/bin/bash").changed.is_empty());
    let once = person.snapshot();
    assert_eq!(person.install("/bin/bash").changed, []);
    assert_eq!(person.snapshot(), once);
}

#[test]
fn uninstalling_restores_everything_byte_for_byte() {
    for files in [
        &[][..],
        &[(".profile", "no end"), (".bashrc", GUARDED_BASHRC)],
        &[(".profile", ""), (".zshrc", "\n\n"), (".zprofile", "x")],
        &[(".config/fish/conf.d/own.fish", "set x 1\n")],
    ] {
        for shell in ["/bin/bash", "/bin/zsh", "/bin/dash"] {
            let person = Person::new(files);
            fs::create_dir(person.at(".multiclaude")).unwrap();
            let before = person.snapshot();
            person.install(shell);
            assert_ne!(person.snapshot(), before);
            assert!(!uninstall(&person.dotfiles).unwrap().changed.is_empty());
            assert_eq!(person.snapshot(), before, "{shell} {files:?}");
            assert_eq!(uninstall(&person.dotfiles).unwrap().changed, []);
        }
    }
}

#[test]
fn a_file_keeps_its_mode_and_stays_a_link() {
    let person = Person::new(&[("dotfiles/profile", "a\n")]);
    let target = person.at("dotfiles/profile");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("dotfiles/profile", person.at(".profile")).unwrap();
    let before = person.snapshot();
    person.install("/bin/bash");
    assert_eq!(fs::read_link(person.at(".profile")).unwrap(), Path::new("dotfiles/profile"));
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&target).unwrap().len() > 2);
    uninstall(&person.dotfiles).unwrap();
    let mut after = person.snapshot();
    after.retain(|path, _| path.file_name() != Some(OsStr::new(".multiclaude")));
    assert_eq!(after, before);
}

#[test]
fn a_file_that_cannot_be_changed_is_left_alone_and_reported() {
    let half = "# >>> multiclaude-hybrid shim >>>\nmine\n";
    let person = Person::new(&[(".profile", "a\n"), (".zprofile", half)]);
    fs::set_permissions(person.at(".profile"), fs::Permissions::from_mode(0o444)).unwrap();
    symlink("/dev/null", person.at(".bashrc")).unwrap();
    symlink("nowhere", person.at(".zshrc")).unwrap();
    let before = person.snapshot();
    let report = person.install("/bin/bash");
    let mut refused: Vec<_> = report.refused.iter().map(|it| it.path.clone()).collect();
    refused.sort();
    let expected = [".bashrc", ".profile", ".zprofile", ".zshrc"].map(|name| person.at(name));
    assert_eq!(refused, expected);
    assert!(report.to_string().contains("it should contain:"));
    let after = person.snapshot();
    assert!(
        before.iter().all(|(path, is)| path == person.home().user() || after.get(path) == Some(is))
    );
    assert!(person.shim().exists());
}

#[test]
fn links_are_replaced_and_private() {
    let person = Person::new(&[]);
    let home = person.home();
    person.install("/bin/bash");
    fs::remove_file(home.pane()).unwrap();
    symlink("/an/older/one", home.pane()).unwrap();
    let report = person.install("/bin/bash");
    assert_eq!(report.changed, [Change { did: "linked", path: home.pane() }]);
    let binary = Path::new(BINARY).canonicalize().unwrap();
    for link in [home.shim(), home.pane()] {
        assert_eq!(fs::read_link(link).unwrap(), binary);
    }
    assert!(is_installed(home));
    for dir in [home.hybrid(), home.shim_dir(), home.pane_dir()] {
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn other_files_in_our_directory_survive() {
    let person = Person::new(&[(".multiclaude/hybrid/credentials", "secret")]);
    person.install("/bin/bash");
    uninstall(&person.dotfiles).unwrap();
    assert!(person.at(".multiclaude/hybrid/credentials").exists());
    assert!(!person.at(".multiclaude/hybrid/shim").exists());
    assert!(!is_installed(person.home()));
}

#[test]
fn the_report_names_the_shells_that_do_not_see_it_yet() {
    let person = Person::new(&[]);
    let report = person.install("/bin/bash").to_string();
    assert!(report.contains("claude --resume"), "{report}");
    assert!(report.contains(".bashrc"), "{report}");
    let report = uninstall(&person.dotfiles).unwrap().to_string();
    assert!(report.contains("removed") && report.contains("hash -r"), "{report}");
}

#[test]
fn without_the_shim_a_login_shell_sees_the_real_program_or_nothing() {
    let person = Person::new(&[(".profile", "PATH=~/bin:$PATH\n")]);
    let seen = seen_by_login_shell(Path::new("/bin/bash"), person.home()).unwrap();
    assert_eq!(seen, Seen::Answer(person.at("bin/multiclaude").into()));
    fs::remove_file(person.at("bin/multiclaude")).unwrap();
    let seen = seen_by_login_shell(Path::new("/bin/sh"), person.home()).unwrap();
    assert_eq!(seen, Seen::Answer(OsString::new()));
}
