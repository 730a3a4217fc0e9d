//! How a client secures its connection to PostgreSQL, in libpq's words.
//! Names only: what a mode means for TLS is decided where connections are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// The values of `sslmode` (PostgreSQL manual, "libpq: SSL Support", table "SSL Mode
/// Descriptions"), from no protection to full.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypt.
    Disable,
    /// Encrypt only if the server insists.
    Allow,
    /// Encrypt if the server can.
    Prefer,
    /// Always encrypt, whoever the server is.
    #[default]
    Require,
    /// Encrypt, and the server's certificate comes from a trusted CA.
    VerifyCa,
    /// Encrypt, and the certificate is trusted and made for the host's name.
    VerifyFull,
}

impl SslMode {
    /// The spelling that libpq reads.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn every_mode_reads_back_from_its_text_and_from_json() {
        for mode in SslMode::iter() {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!(json, format!("\"{}\"", mode.as_str()));
            assert_eq!(serde_json::from_str::<SslMode>(&json).unwrap(), mode);
        }
        assert_eq!(SslMode::VerifyFull.as_str(), "verify-full");
        assert!(
            "Require".parse::<SslMode>().is_err(),
            "libpq tells capitals apart"
        );
    }
}
