//! A proxy for MongoDB that follows the credential of a mounted Secret.
//!
//! Applications connect to loopback without a credential, and see the deployment as it is: each
//! member behind a port of its own. Each of their connections has its own connection to the
//! server, logged in when a command first needs it, so nothing is shared that MongoDB ties to a
//! connection. It knows no Kubernetes; a file is all it follows.

mod affinity;
mod answers;
mod budget;
mod command;
mod credential;
mod hello;
mod metrics;
mod proxy;
mod relay;
mod scram;
mod srv;
mod topology;
mod upstream;
mod visitor;
mod wire;

pub use metrics::Metrics;
pub use proxy::{Error, Proxy, Settings};
