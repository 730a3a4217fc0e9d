//! End-to-end stories on a real control plane and real databases, one folder a story.

mod admins;
mod bad_input;
mod canary;
mod chart;
mod claims;
mod faults;
mod mongo;
mod plugin;
mod promise;
mod role_claims;
mod samples;
mod support;
mod tenancy;
