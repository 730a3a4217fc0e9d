//! From when until when a certificate is good, and for which names.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Life {
    pub(super) fn has_ended(self, now: Timestamp) -> bool {
        now >= self.until
    }

    /// Two thirds are over: time to renew.
    pub(super) fn is_late(self, now: Timestamp) -> bool {
        let whole = self.until.as_second() - self.from.as_second();
        let gone = now.as_second() - self.from.as_second();
        gone * 3 >= whole * 2
    }
}

/// What is read from a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) life: Life,
    pub(super) names: Vec<String>,
}

impl Facts {
    /// Of the first certificate in `pem`; `None` if that is none.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        let time = |seconds| Timestamp::from_second(seconds).ok();
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.map(|names| names.value.general_names.iter());
        let names = names.into_iter().flatten();
        Some(Self {
            life: Life {
                from: time(validity.not_before.timestamp())?,
                until: time(validity.not_after.timestamp())?,
            },
            names: names.filter_map(name_or_address).collect(),
        })
    }
}

/// `time` and `wait`, or the end of all time.
pub(super) fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn name_or_address(name: &GeneralName<'_>) -> Option<String> {
    match *name {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
