//! Claims on MongoDB: the same kinds, Secret, rotation and promise, on real mongods.

mod abcdesktop;
mod documented;
mod life;
mod place;
mod promise;
