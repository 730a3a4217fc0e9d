//! Claims on MongoDB: the same kinds, Secret, rotation and promise, on real mongods.

mod abcdesktop;
mod black_hole;
mod documented;
mod drift;
mod formats;
mod life;
mod majority;
pub(crate) mod place;
mod promise;
mod refused;
mod role_claims;
mod service;
pub(crate) mod sidecar;
mod tls;
mod tripwire;
