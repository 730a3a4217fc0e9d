//! A tenant that has every right in its own namespace, and no other, tries to get at another
//! tenant: its data, its Secret, its roles, its server. Each attempt is refused, with a reason.

mod claims;
mod cluster;
mod elevation;
mod quotas;
mod stage;
mod statements;
