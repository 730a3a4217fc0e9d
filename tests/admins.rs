//! The credential of a server's own admin: rotated like those of claims, and kept where somebody
//! else changes it too.

mod contest;
mod promise;
mod rotation;
pub(crate) mod stage;
