//! Making certificates: an authority of our own, and what it signs.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Leaf,
    life::{Life, later},
};

/// Subject of each authority; their keys tell them apart.
const NAME: &str = "db-controller webhook";

/// Clocks of API servers may be behind ours by so much.
pub(super) const BACKDATED: Duration = Duration::from_mins(5);

/// How long a certificate is good for, from now.
pub(super) const AUTHORITY_LIFE: Duration = Duration::from_hours(3 * 365 * 24);
pub(super) const LEAF_LIFE: Duration = Duration::from_hours(90 * 24);

/// A CA certificate, PEM, and its key.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) certificate: String,
    pub(super) key: SecretString,
}

impl Authority {
    pub(super) fn new(now: Timestamp) -> Result<Self, rcgen::Error> {
        let mut params = params();
        date(&mut params, starting(now, AUTHORITY_LIFE));
        let key = KeyPair::generate()?;
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        Ok(Self {
            certificate: issuer.pem(),
            key: issuer.key().serialize_pem().into(),
        })
    }

    /// A certificate for a server of these names, which does not outlive the authority.
    pub(super) fn issue(
        &self,
        names: &[String],
        life: Life,
        now: Timestamp,
    ) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::from_pem(self.key.expose_secret())?;
        let issuer = Issuer::new(params(), key);
        let mut params = CertificateParams::new(names)?;
        let mut own = starting(now, LEAF_LIFE);
        own.until = own.until.min(life.until);
        date(&mut params, own);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf {
            chain: certificate.pem(),
            key: key.serialize_pem().into(),
        })
    }
}

fn starting(now: Timestamp, life: Duration) -> Life {
    Life {
        from: now.saturating_sub(BACKDATED).unwrap_or(now),
        until: later(now, life),
    }
}

/// What certificates of an authority and of what it signs have in common.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn date(params: &mut CertificateParams, life: Life) {
    let date = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = date(life.from);
    params.not_after = date(life.until);
}
