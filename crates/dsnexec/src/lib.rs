//! Runs statements and programs whenever the files that they depend on change: after a rotation a
//! foreign server gets the new password, for example. Each config of the config file stands for
//! itself: one that fails is tried again, and keeps no other from running.
//!
//! Statements are the user's and run verbatim; nothing here decides what is in them. Knows files,
//! not Kubernetes. Files are followed by `hotload`.

pub mod args;
pub mod config;
pub mod connect;
pub mod destination;
pub mod dsn;
pub mod format;
pub mod metrics;
pub mod pace;
pub mod program;
pub mod render;
pub mod run;
pub mod serve;
pub mod source;
pub mod status;
pub mod template;
pub mod value;

mod runner;
