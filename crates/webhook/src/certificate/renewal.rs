//! What is kept of certificates, and when it is renewed. Pure but for the keys' randomness.
//!
//! # Guarantees
//! A certificate is presented only once API servers had time to learn its authority, unless the
//! present one is of no use. An authority is trusted until it has expired, so replicas that still
//! present what it signed are believed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Leaf,
    authority::Authority,
    life::{Facts, Life, later},
};

/// Keys of the Secret: those of cert-manager, and one for the authority's own key.
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// After so long each API server has read the bundle with a new authority.
const SETTLED: Duration = Duration::from_hours(1);

/// What the Secret holds.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The bundle for `caBundle`, PEM, the newest authority first.
    pub authorities: String,
    authority_key: SecretString,
    /// What is presented.
    pub leaf: Leaf,
}

/// What is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// An authority, which signs only when it has settled.
    Authority,
    Leaf,
    /// Both at once, since nothing that works would be lost.
    Everything,
}

/// What is to be made now instead of `kept`, or `None` if that is good.
pub fn renewed(
    kept: Option<&Kept>,
    names: &[String],
    now: Timestamp,
) -> Result<Option<Kept>, rcgen::Error> {
    let Some(kept) = kept else {
        return Kept::new(names, "", now).map(Some);
    };
    let Some(seen) = Seen::read(kept, names) else {
        return Kept::new(names, &kept.authorities, now).map(Some);
    };
    let kept = match due(&seen, now) {
        Due::Nothing => return Ok(None),
        Due::Everything => Kept::new(names, &kept.authorities, now)?,
        Due::Leaf => Kept {
            leaf: kept.authority().issue(names, seen.authority, now)?,
            ..kept.clone()
        },
        Due::Authority => {
            let Authority { certificate, key } = Authority::new(now)?;
            Kept {
                authorities: certificate + &unexpired(&kept.authorities, now),
                authority_key: key,
                leaf: kept.leaf.clone(),
            }
        }
    };
    Ok(Some(kept))
}

/// What decides.
#[derive(Debug, Clone, Copy)]
struct Seen {
    authority: Life,
    leaf: Life,
    has_names: bool,
}

impl Seen {
    /// `None` if one of the certificates cannot be read.
    fn read(kept: &Kept, names: &[String]) -> Option<Self> {
        kept.leaf.certified().ok()?;
        let leaf = Facts::read(&kept.leaf.chain)?;
        Some(Self {
            authority: Facts::read(&kept.authorities)?.life,
            leaf: leaf.life,
            has_names: names.iter().all(|name| leaf.names.contains(name)),
        })
    }
}

fn due(seen: &Seen, now: Timestamp) -> Due {
    let Seen {
        authority,
        leaf,
        has_names,
    } = *seen;
    // The newest authority signs everything, so what is older than it has another's signature.
    let is_of_newest = leaf.from >= authority.from;
    let has_settled = now >= later(authority.from, SETTLED);
    if authority.has_ended(now) {
        Due::Everything
    } else if leaf.has_ended(now) || !has_names {
        Due::Leaf
    } else if authority.is_late(now) {
        Due::Authority
    } else if has_settled && (leaf.is_late(now) || !is_of_newest) {
        Due::Leaf
    } else {
        Due::Nothing
    }
}

/// The certificates of a bundle that are still good.
fn unexpired(bundle: &str, now: Timestamp) -> String {
    let certificates = bundle.split_inclusive("-----END CERTIFICATE-----\n");
    certificates
        .filter(|pem| Facts::read(pem).is_some_and(|facts| !facts.life.has_ended(now)))
        .collect()
}

impl Kept {
    /// Everything anew; whom the former authorities vouch for is still believed.
    fn new(names: &[String], former: &str, now: Timestamp) -> Result<Self, rcgen::Error> {
        let authority = Authority::new(now)?;
        let life = Facts::read(&authority.certificate).map(|facts| facts.life);
        let life = life.ok_or(rcgen::Error::CouldNotParseCertificate)?;
        let leaf = authority.issue(names, life, now)?;
        let Authority { certificate, key } = authority;
        Ok(Self {
            authorities: certificate + &unexpired(former, now),
            authority_key: key,
            leaf,
        })
    }

    fn authority(&self) -> Authority {
        Authority {
            certificate: self.authorities.clone(),
            key: self.authority_key.clone(),
        }
    }

    /// From the data of the Secret; `None` if something is missing.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
        Some(Self {
            authorities: text(AUTHORITIES)?,
            authority_key: text(AUTHORITY_KEY)?.into(),
            leaf: Leaf {
                chain: text(CHAIN)?,
                key: text(KEY)?.into(),
            },
        })
    }

    /// The data of the Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let Self {
            authorities,
            authority_key,
            leaf: Leaf { chain, key },
        } = self;
        let entries = [
            (AUTHORITIES, authorities.as_str()),
            (AUTHORITY_KEY, authority_key.expose_secret()),
            (CHAIN, chain),
            (KEY, key.expose_secret()),
        ];
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let entries = entries.map(|(key, text)| (key.to_owned(), bytes(text)));
        entries.into()
    }
}

#[cfg(test)]
mod tests;
