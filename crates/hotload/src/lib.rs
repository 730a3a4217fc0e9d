//! Follows a file that holds a DSN, and hands out connections with the current one.
//!
//! [`follow`] knows files only: it notices that the contents of one changed, asks whether they
//! are valid, and keeps the last good version. It knows no database, and this crate no Kubernetes.
#![deny(missing_docs)]

pub mod follow;
