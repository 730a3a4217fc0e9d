//! Amounts of CPU and memory as Kubernetes writes them, checked for their form.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Suffixes of the documentation of `Quantity`, without the exponents that nobody writes.
const SUFFIXES: [&str; 12] = [
    "", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi",
];

/// A quantity that is not negative, such as `10m`, `0.5` or `64Mi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount(String);

impl Amount {
    /// `None` if `text` is no amount.
    pub fn new(text: &str) -> Option<Self> {
        let is_figure = |c: char| c.is_ascii_digit() || c == '.';
        let number = text.trim_end_matches(|c| !is_figure(c));
        let suffix = text.strip_prefix(number)?;
        let is_number = number.starts_with(|c: char| c.is_ascii_digit())
            && number.ends_with(|c: char| c.is_ascii_digit())
            && number.chars().all(is_figure)
            && number.chars().filter(|c| *c == '.').count() <= 1;
        let is_amount = is_number && number.len() <= 15 && SUFFIXES.contains(&suffix);
        is_amount.then(|| Self(text.to_owned()))
    }

    /// Whether this is more than `other`, in the same unit of the same resource.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.value() > other.value()
    }

    fn value(&self) -> f64 {
        let number = self.0.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let suffix = self.0.strip_prefix(number).unwrap_or_default();
        let factor = match suffix {
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "Ki" => 1024_f64,
            "Mi" => 1024_f64.powi(2),
            "Gi" => 1024_f64.powi(3),
            "Ti" => 1024_f64.powi(4),
            "Pi" => 1024_f64.powi(5),
            _ => 1.0,
        };
        number.parse().unwrap_or(0.0) * factor
    }

    pub fn quantity(&self) -> Quantity {
        Quantity(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_other_suffixes_compare() {
        let exceeds = |one: &str, other: &str| {
            Amount::new(one)
                .unwrap()
                .exceeds(&Amount::new(other).unwrap())
        };
        for (more, less) in [
            ("64Mi", "64M"),
            ("1", "999m"),
            ("0.5", "10m"),
            ("1Gi", "1023Mi"),
            ("1k", "999"),
        ] {
            assert!(exceeds(more, less) && !exceeds(less, more), "{more} {less}");
        }
        assert!(!exceeds("1024Ki", "1Mi"));
    }

    #[test]
    fn amounts_have_a_number_and_a_known_suffix() {
        for good in ["0", "1", "10m", "0.5", "64Mi", "1.5Gi", "200M"] {
            assert!(Amount::new(good).is_some(), "{good}");
        }
        for bad in [
            "", "m", "-1", "+1", "1.", ".5", "1.2.3", "64mb", "64 Mi", "1e3m", "Mi64", "6M4", "½",
        ] {
            assert!(Amount::new(bad).is_none(), "{bad}");
        }
    }
}
