//! The webhook as the API server sees it: over TLS, and from a real kube-apiserver.

mod cluster;
mod renewal;
mod stage;
mod store;
mod tls;
