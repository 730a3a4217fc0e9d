//! What every program of ours does at its start and its end: reads flags as Go does, logs, hears
//! signals, listens for the kubelet. Knows no Kubernetes and no database.

pub mod flags;
pub mod listen;
pub mod logs;
pub mod signals;
