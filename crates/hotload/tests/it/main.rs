//! Followed files and pools from outside, without a database and with a real one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod follow;
mod pool;
mod rotation;
