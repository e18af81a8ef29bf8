//! The files that a shell reads, and the lines that are written there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::dotfiles::Dotfiles;

/// In which language a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Posix,
    Fish,
}

/// The first of these that exists is all that bash reads at login (bash(1),
/// *INVOCATION*). Making an earlier one would hide a later one.
const BASH_LOGIN: [&str; 3] = [".bash_profile", ".bash_login", ".profile"];
const ZSH: [&str; 2] = [".zprofile", ".zshrc"];
const FISH: &str = "fish/conf.d/multiclaude-hybrid.fish";

// `$HOME` rather than the home's name: nothing to quote, whatever it is called,
// and right on every machine that shares the file.
const POSIX_LINES: &str = r#"# Made by `multiclaude-hybrid shim install`, removed by `shim uninstall`.
case ":${PATH-}:" in
    :"$HOME/.multiclaude/hybrid/shim":*) ;;
    *) PATH="$HOME/.multiclaude/hybrid/shim${PATH:+:$PATH}"; export PATH ;;
esac
"#;
const FISH_LINES: &str = r#"# Made by `multiclaude-hybrid shim install`, removed by `shim uninstall`.
if test "$PATH[1]" != "$HOME/.multiclaude/hybrid/shim"
    set -gx PATH "$HOME/.multiclaude/hybrid/shim" $PATH
end
"#;

/// The lines that put the shim first on the PATH, unless it is first.
pub(super) fn lines(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Posix => POSIX_LINES,
        Dialect::Fish => FISH_LINES,
    }
}

/// The files to write for a user of `shell`: login and other shells of that
/// kind, and of the kinds that the user has files for.
pub(super) fn files_for(dotfiles: &Dotfiles, shell: Option<&OsStr>) -> Vec<(PathBuf, Dialect)> {
    let kind = shell
        .and_then(|shell| Path::new(shell).file_name())
        .and_then(OsStr::to_str)
        .unwrap_or("sh");
    let at = |name: &str| dotfiles.home.user().join(name);
    let profile = at(".profile");

    let mut files = Vec::new();
    files.extend(BASH_LOGIN.map(at).into_iter().find(|path| is_there(path)));
    // Shells that are neither of these three read `.profile` alone.
    let needs_profile = match kind {
        "bash" => files.is_empty(),
        "zsh" | "fish" => false,
        _ => true,
    };
    if needs_profile && !files.contains(&profile) {
        files.push(profile);
    }
    files.extend([at(".bashrc")].into_iter().filter(|path| kind == "bash" || is_there(path)));
    let zsh = zsh_dir(dotfiles);
    files.extend(
        ZSH.map(|name| zsh.join(name)).into_iter().filter(|path| kind == "zsh" || is_there(path)),
    );
    let mut files: Vec<_> = files.into_iter().map(|path| (path, Dialect::Posix)).collect();
    if kind == "fish" || config_home(dotfiles).join("fish").is_dir() {
        files.push((config_home(dotfiles).join(FISH), Dialect::Fish));
    }
    files
}

/// Every file that [`files_for`] can ever name.
pub(super) fn all_files(dotfiles: &Dotfiles) -> Vec<PathBuf> {
    let in_home = BASH_LOGIN.into_iter().chain([".bashrc"]).chain(ZSH);
    let mut files: Vec<PathBuf> = in_home.map(|name| dotfiles.home.user().join(name)).collect();
    for file in ZSH.map(|name| zsh_dir(dotfiles).join(name)) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files.push(config_home(dotfiles).join(FISH));
    files
}

/// A link counts even if it leads nowhere: the shell would look there.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())
}

fn zsh_dir(dotfiles: &Dotfiles) -> PathBuf {
    dotfiles.zdotdir.clone().unwrap_or_else(|| dotfiles.home.user().to_owned())
}

fn config_home(dotfiles: &Dotfiles) -> PathBuf {
    let usual = || dotfiles.home.user().join(".config");
    dotfiles.config_home.clone().unwrap_or_else(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;
    use std::fs;

    fn chosen(existing: &[&str], shell: Option<&str>) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for name in existing {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        files_for(&Dotfiles::new(Home::new(root.path())), shell.map(OsStr::new))
            .into_iter()
            .map(|(path, _)| {
                let name = path.strip_prefix(root.path()).unwrap();
                name.to_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn bash_gets_the_login_file_that_it_reads_and_its_other_file() {
        let bash = Some("/bin/bash");
        assert_eq!(chosen(&[], bash), [".profile", ".bashrc"]);
        assert_eq!(chosen(&[".profile"], bash), [".profile", ".bashrc"]);
        assert_eq!(chosen(&[".profile", ".bash_login"], bash), [".bash_login", ".bashrc"]);
        assert_eq!(
            chosen(&[".profile", ".bash_login", ".bash_profile"], bash),
            [".bash_profile", ".bashrc"]
        );
    }

    #[test]
    fn zsh_and_fish_get_their_own_files_and_files_of_others_only_where_they_exist() {
        let fish = ".config/fish/conf.d/multiclaude-hybrid.fish";
        assert_eq!(chosen(&[], Some("zsh")), [".zprofile", ".zshrc"]);
        assert_eq!(chosen(&[], Some("/usr/bin/fish")), [fish]);
        assert_eq!(
            chosen(&[".bashrc", ".zshrc"], Some("/usr/bin/fish")),
            [".bashrc", ".zshrc", fish]
        );
        assert_eq!(
            chosen(&[".config/fish/config.fish", ".profile"], Some("/bin/zsh")),
            [".profile", ".zprofile", ".zshrc", fish]
        );
    }

    #[test]
    fn other_shells_and_an_unknown_one_get_the_profile() {
        assert_eq!(chosen(&[], None), [".profile"]);
        assert_eq!(chosen(&[".bash_profile"], Some("/bin/dash")), [".bash_profile", ".profile"]);
    }

    #[test]
    fn files_of_zsh_are_where_zdotdir_says() {
        let mut dotfiles = Dotfiles::new(Home::new("/home/x"));
        dotfiles.zdotdir = Some("/z".into());
        let zsh = [PathBuf::from("/z/.zprofile"), PathBuf::from("/z/.zshrc")];
        let files: Vec<_> = files_for(&dotfiles, Some(OsStr::new("zsh")))
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(files, zsh);
        assert!(zsh.iter().all(|path| all_files(&dotfiles).contains(path)));
        assert!(all_files(&dotfiles).contains(&"/home/x/.zshrc".into()));
    }

    #[test]
    fn the_lines_name_the_directory_of_the_shim() {
        for dialect in [Dialect::Posix, Dialect::Fish] {
            assert!(lines(dialect).contains(&format!("\"$HOME/{}", Home::SHIM_DIR)));
            assert!(lines(dialect).ends_with('\n'));
        }
    }
}
