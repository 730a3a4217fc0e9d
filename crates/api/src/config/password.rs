//! `passwordConfig`: what passwords look like and how often they change.

use std::time::Duration;

use strum::{Display, EnumIter, EnumString};

use super::reader::{Given, Reader, Span};
use crate::go_duration;

/// Rules for generated passwords and their rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// `passwordConfig.passwordComplexity`; enabled where absent.
    pub complexity: Complexity,
    /// `passwordConfig.minPasswordLength` in characters, 15 to 99; 15 where absent.
    pub min_length: u8,
    /// `passwordConfig.passwordRotationPeriod`; 60 minutes where absent, never 0.
    pub rotation_period: Duration,
}

/// Whether the classes of characters in a password are prescribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Complexity {
    /// `minPasswordLength` characters, with digits, symbols and letters of both cases.
    Enabled,
    /// 32 characters without fixed counts. The documentation says `disable`.
    #[strum(serialize = "disable", to_string = "disabled")]
    Disabled,
}

const MIN_LENGTH: i64 = 15;
const MAX_LENGTH: i64 = 99;

const SHORTEST_PERIOD: Duration = Duration::from_hours(1);
const LONGEST_PERIOD: Duration = Duration::from_hours(24);

/// A kubelet renews a mounted Secret once in its sync period of one minute, and may use a copy
/// that is another minute old (Kubernetes documentation, "Mounted Secrets are updated
/// automatically"). A login that is replaced twice within this time can fail a pod.
pub(super) const KUBELET_DELAY: Duration = Duration::from_mins(2);

impl PasswordPolicy {
    pub(super) fn read(from: &mut Reader) -> Self {
        let complexity = from.choice("passwordConfig.passwordComplexity");
        Self {
            complexity: complexity.map_or(Complexity::Enabled, |given| given.value),
            min_length: min_length(from),
            rotation_period: rotation_period(from),
        }
    }
}

fn min_length(from: &mut Reader) -> u8 {
    const KEY: &str = "passwordConfig.minPasswordLength";
    let given = from.whole(KEY).unwrap_or(Given {
        value: MIN_LENGTH,
        line: 0,
    });
    let length = given.value.clamp(MIN_LENGTH, MAX_LENGTH);
    if length != given.value {
        let message = format!(
            "is {}, outside {MIN_LENGTH} to {MAX_LENGTH}; {length} is used",
            given.value
        );
        from.warn(KEY, given.line, message);
    }
    u8::try_from(length).unwrap_or_default()
}

/// Numbers are bounded as the original's documentation says; durations with units are used as
/// written, because deployed files rely on it.
fn rotation_period(from: &mut Reader) -> Duration {
    const KEY: &str = "passwordConfig.passwordRotationPeriod";
    let Some(Given { value, line }) = from.duration(KEY) else {
        return SHORTEST_PERIOD;
    };
    let given = value.get();
    let is_usual = (SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&given);
    match value {
        _ if is_usual => given,
        Span::Minutes(_) => {
            let used = given.clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
            let minutes = used.as_secs() / 60;
            let message = format!("is outside 60 to 1440 minutes; {minutes} minutes are used");
            from.warn(KEY, line, message);
            used
        }
        Span::Duration(_) if given < KUBELET_DELAY => {
            let period = go_duration::format(given);
            let message = format!(
                "is {period}, shorter than the two minutes that a pod may need to see a new \
                 Secret; it is used as written, but pods can lose their login"
            );
            from.warn(KEY, line, message);
            given
        }
        Span::Duration(_) => {
            let period = go_duration::format(given);
            from.warn(
                KEY,
                line,
                format!("is {period}, outside 60m to 24h; it is used as written"),
            );
            given
        }
    }
}
