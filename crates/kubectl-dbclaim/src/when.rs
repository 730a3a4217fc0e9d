//! Times as people read them beside each other.

use jiff::Timestamp;

/// Between two times, in the largest unit of which there are at least two: `90s`, `5m`, `26h`,
/// `3d`. Nothing for a time that is over.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fit = units.iter().find(|(length, _)| seconds >= 2 * length);
    fit.map_or_else(
        || format!("{seconds}s"),
        |(length, unit)| format!("{}{unit}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_one_unit() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
        for (seconds, text) in [
            (-5, "0s"),
            (90, "90s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(between(at(0), at(seconds)), text);
        }
    }
}
