//! What a server grants its claims at most.

use api::server::Quotas;

use crate::place::Place;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The server's name.
    pub server: String,
    pub quotas: Quotas,
}

impl Bounds {
    pub(super) fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Server(server) => Some(Self {
                server: server.name.clone(),
                quotas: server.quotas.clone(),
            }),
            Place::Source { .. } => None,
        }
    }
}
