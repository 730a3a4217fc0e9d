//! The test bed tested: it starts, it fails when it should, and it leaves nothing behind.

mod control_plane;
mod env;
mod node;
mod observers;
mod postgres;
mod process;
