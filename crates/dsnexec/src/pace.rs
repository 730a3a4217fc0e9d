//! How long a config goes on, and how fast it tries again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// When a config is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After one run without an error, as in an init container.
    Success,
    /// Never by itself.
    Stopped,
}

/// How fast things go.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The pause after a first failure; doubles with each.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long a run may go on when the process should end.
    pub drain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_mins(1),
            drain: Duration::from_secs(20),
        }
    }
}

impl Pace {
    /// Doubles up to the most, and differs by a fifth, so that many pods do not come at once.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let pause = self.first.saturating_mul(doubled).min(self.most);
        let percent = 80 + u32::try_from(RandomState::new().hash_one(failures) % 41).unwrap_or(20);
        pause * percent / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_72_pauses_double_up_to_the_most() {
        let pace = Pace::default();
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (u32::MAX, 60.0)] {
            let share = pace.after(failures).as_secs_f64() / seconds;
            assert!((0.8..=1.2).contains(&share), "{failures}: {share}");
        }
    }
}
