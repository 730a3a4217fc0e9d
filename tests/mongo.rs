//! Claims on MongoDB: the same kinds, Secret, rotation and promise, on real mongods.

mod life;
mod place;
mod promise;
