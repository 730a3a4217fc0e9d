//! Durations as users write them: plain numbers are minutes, else Go's syntax.

use std::time::Duration;

use api::{
    claim::{DatabaseClaim, RotationSpec},
    config::Config,
    go_duration,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{asked::Asked, place::Defaults, wishes::Timing};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not a duration of a second or more, such as 60 (minutes), 90m or 24h")]
pub struct Error {
    field: &'static str,
}

impl Error {
    pub(crate) fn of_admin() -> Self {
        Self {
            field: "adminRotation.period",
        }
    }
}

/// The duration, if it is at least a second: due times are kept in seconds.
pub fn duration(value: &IntOrString) -> Option<Duration> {
    let minutes = |minutes: u64| (minutes > 0).then(|| Duration::from_mins(minutes));
    match value {
        IntOrString::Int(number) => minutes(u64::try_from(*number).ok()?),
        IntOrString::String(text) => match text.trim().parse::<u64>() {
            Ok(number) => minutes(number),
            Err(_) => go_duration::parse(text.trim())
                .ok()
                .filter(|span| *span >= Duration::from_secs(1)),
        },
    }
}

/// The claim's own words, then the server's, then the configuration's.
pub fn timing(
    claim: &DatabaseClaim,
    config: &Config,
    server: Option<&Defaults>,
) -> Result<Timing, Error> {
    let unset = RotationSpec::default();
    let spec = claim.spec.rotation.as_ref().unwrap_or(&unset);
    let read = |field, value: &Option<IntOrString>| match value {
        Some(value) => duration(value).map(Some).ok_or(Error { field }),
        None => Ok(None),
    };
    Ok(Timing {
        period: read("rotation.period", &spec.period)?
            .or_else(|| server.and_then(|server| server.period))
            .unwrap_or(config.password.rotation_period),
        overlap: read("rotation.overlap", &spec.overlap)?.or(config.overlap),
        max_overlap: read("rotation.maxOverlap", &spec.max_overlap)?.or(config.max_overlap),
        is_paused: spec.paused == Some(true),
        asked: Asked::of(claim.metadata.annotations.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_15_plain_numbers_are_minutes_and_go_durations_are_durations() {
        let text = |text: &str| duration(&IntOrString::String(text.to_owned()));
        assert_eq!(
            duration(&IntOrString::Int(60)),
            Some(Duration::from_hours(1))
        );
        assert_eq!(text("60"), Some(Duration::from_hours(1)));
        assert_eq!(text("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(text("90s"), Some(Duration::from_secs(90)));
        for bad in ["", "0", "-5m", "0s", "1ms", "soon"] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }
}
