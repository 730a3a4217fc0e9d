//! The Helm chart: what it renders and refuses, that a cluster takes it, and that its rights are
//! enough and no more.

mod helm;
mod install;
mod metrics;
mod policies;
mod rendering;
mod rights;
mod values;
mod webhook;
