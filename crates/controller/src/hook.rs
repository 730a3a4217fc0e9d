//! A place to stand between the steps of a rotation: tests kill the process there.

use engine::rotation::Step;

/// Told of each step right after it is done.
pub trait Hook: Send + Sync {
    fn reached(&self, step: Step);
}

/// What runs outside tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn reached(&self, _: Step) {}
}
