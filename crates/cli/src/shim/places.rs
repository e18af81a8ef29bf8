//! Where the links are that this binary is found through.

use std::path::{Path, PathBuf};

/// `~/.multiclaude/hybrid/`: beside what multiclaude keeps, out of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    hybrid: PathBuf,
}

impl Places {
    /// The name of the link in [`Self::shim_dir`].
    pub const SHIM: &str = "multiclaude";
    /// The name of the link in [`Self::pane_dir`].
    pub const PANE: &str = "tmux";
    /// [`Self::shim_dir`] below the home directory.
    pub const SHIM_DIR: &str = ".multiclaude/hybrid/shim";

    /// Those of the user whose home this is.
    pub fn of(home: &Path) -> Self {
        Self { hybrid: home.join(".multiclaude/hybrid") }
    }

    /// Those of `$HOME`.
    pub fn of_caller() -> Option<Self> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Self::of(Path::new(&home)))
    }

    /// What holds both directories.
    pub fn hybrid_dir(&self) -> &Path {
        &self.hybrid
    }

    /// On the PATH of the developer and of the agents' windows.
    pub fn shim_dir(&self) -> PathBuf {
        self.hybrid.join("shim")
    }

    /// On the PATH of a few calls of the real program, and of nothing else:
    /// nobody else's tmux changes.
    pub fn pane_dir(&self) -> PathBuf {
        self.hybrid.join("pane")
    }

    /// The link that stands for multiclaude.
    pub fn shim(&self) -> PathBuf {
        self.shim_dir().join(Self::SHIM)
    }

    /// The link that stands for tmux.
    pub fn pane(&self) -> PathBuf {
        self.pane_dir().join(Self::PANE)
    }
}
