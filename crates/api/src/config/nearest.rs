//! The known key that a user probably meant.

/// The one of `known` that is nearest to `written`, capitals aside; none if more than half of
/// the characters would have to change.
pub(super) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let bound = written.chars().count() / 2;
    known
        .into_iter()
        .map(|key| (distance(&written, &key.to_lowercase()), key))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein distance: insertions, deletions and replacements of one character.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        // The row above, shifted: `diagonal` is the entry up and to the left.
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_changes() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn only_a_similar_key_is_proposed() {
        let known = ["region", "project", "passwordConfig.minPasswordLength"];
        assert_eq!(nearest("Regoin", known), Some("region"));
        assert_eq!(
            nearest("passwordconfig.minPasswordLenght", known),
            Some("passwordConfig.minPasswordLength")
        );
        assert_eq!(nearest("zzzz", known), None);
    }
}
