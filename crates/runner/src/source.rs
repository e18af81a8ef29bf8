//! A repo whose requests a runner claims.

use crate::options::Served;
use multiclaude_hybrid_bridge::trouble::Trouble;
use multiclaude_hybrid_client::RepoClient;
use multiclaude_hybrid_client::protocol::Repo;
use tokio::sync::Notify;

/// A repo whose requests are claimed.
#[derive(Debug)]
pub struct Source {
    /// `owner/repo`.
    pub repo: Repo,
    /// Makes calls with a token of this machine.
    pub client: RepoClient,
    /// Must this machine encrypt everything that it sends?
    pub require_encryption: bool,
    /// Notified when a request is pushed.
    pub wake: Notify,
    /// Why claims fail.
    pub trouble: Trouble,
    /// Why requests are not pushed.
    pub pushes: Trouble,
}

impl Source {
    /// A repo in which nothing was claimed yet.
    pub fn new(served: Served) -> Self {
        let Served { repo, client, require_encryption } = served;
        let trouble = Trouble::new(
            "requests for workers cannot be claimed",
            "requests for workers can be claimed again",
        );
        let pushes =
            Trouble::new("requests are not pushed to this runner", "requests are pushed again");
        Self { repo, client, require_encryption, wake: Notify::new(), trouble, pushes }
    }
}
