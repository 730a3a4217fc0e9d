//! What the webhook may know beyond the request: memory of the controller's watches, no API call.

use tokio::sync::watch;

/// Looks into the controller's caches. Implementations answer from memory only.
pub trait Known: Send + Sync {
    /// What the claim or role claim of that name publishes; the role claim wins if both exist.
    fn published(&self, ns: &str, claim: &str) -> Option<Published>;

    /// The claim or role claim that publishes that Secret.
    fn claim_of(&self, ns: &str, secret: &str) -> Option<String>;

    /// Whether the namespace is being deleted.
    fn is_terminating(&self, ns: &str) -> bool;

    /// Changes whenever more has become known; closed where nothing will.
    fn news(&self) -> watch::Receiver<()> {
        watch::channel(()).1
    }
}

/// What pods with a claim's name in their label mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub secret: String,
    pub engine: Engine,
}

/// What the claim's database speaks, and so which proxy a pod gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Mongo,
}
