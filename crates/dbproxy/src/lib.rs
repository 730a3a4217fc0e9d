//! The deciding half of dbproxy, which keeps a PgBouncer on the credential of a Secret: what its
//! configuration is, and when a credential that was found is used.
//!
//! Pure: no sockets, files, processes or clocks, and no Kubernetes.

pub mod credentials;
pub mod dsn;
pub mod pgbouncer;
