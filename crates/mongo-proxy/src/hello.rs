//! The hello, rewritten: drivers see the deployment as it is, but only at loopback.
//!
//! Pure: which local port stands for a member is the caller's business.

use bson::raw::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::wire::Error;

/// Added to the name of the driver, as the server's log shows it.
const NAME: &str = concat!("dbproxy/", env!("CARGO_PKG_VERSION"));

/// What the proxy answers itself, or must not promise.
const STRIPPED: [&str; 4] = [
    "saslSupportedMechs",
    "speculativeAuthenticate",
    "compression",
    "loadBalanced",
];

/// The request as the server gets it.
pub(crate) fn request(body: &RawDocument) -> Result<RawDocumentBuf, Error> {
    let mut out = RawDocumentBuf::new();
    for element in body.iter_elements() {
        let element = element?;
        let key = element.key();
        if STRIPPED.contains(&key.as_str()) {
            continue;
        }
        match (key.as_str(), element.value()?) {
            ("client", RawBsonRef::Document(client)) => out.append(key, metadata(client)?),
            (_, value) => out.append(key, value),
        }
    }
    Ok(out)
}

fn metadata(client: &RawDocument) -> Result<RawDocumentBuf, Error> {
    let mut out = RawDocumentBuf::new();
    for element in client.iter_elements() {
        let element = element?;
        match (element.key().as_str(), element.value()?) {
            ("driver", RawBsonRef::Document(driver)) => out.append(element.key(), named(driver)?),
            (_, value) => out.append(element.key(), value),
        }
    }
    Ok(out)
}

fn named(driver: &RawDocument) -> Result<RawDocumentBuf, Error> {
    let mut out = RawDocumentBuf::new();
    for element in driver.iter_elements() {
        let element = element?;
        match (element.key().as_str(), element.value()?) {
            ("name", RawBsonRef::String(name)) => {
                out.append(element.key(), format!("{name}|{NAME}"));
            }
            (_, value) => out.append(element.key(), value),
        }
    }
    Ok(out)
}

/// The members that an answer names, in its order, and without repetition.
pub(crate) fn members(body: &RawDocument) -> Vec<String> {
    if !is_of_a_set(body) {
        return Vec::new();
    }
    let mut members: Vec<String> = Vec::new();
    for key in ["hosts", "passives", "arbiters"] {
        let Ok(hosts) = body.get_array(key) else {
            continue;
        };
        for host in hosts.into_iter().flatten().filter_map(RawBsonRef::as_str) {
            members.push(host.to_owned());
        }
    }
    for key in ["primary", "me"] {
        if let Ok(host) = body.get_str(key) {
            members.push(host.to_owned());
        }
    }
    let mut seen = std::collections::HashSet::new();
    members.retain(|member| seen.insert(member.clone()));
    members
}

/// The answer as the driver gets it. `local` gives the address that stands for a member; a member
/// without one is left out. Only a replica set's answer changes.
pub(crate) fn answer(
    body: &RawDocument,
    local: impl Fn(&str) -> Option<String>,
) -> Result<RawDocumentBuf, Error> {
    if !is_of_a_set(body) {
        return Ok(body.to_owned());
    }
    let mut out = RawDocumentBuf::new();
    for element in body.iter_elements() {
        let element = element?;
        let key = element.key();
        match (key.as_str(), element.value()?) {
            ("hosts" | "passives" | "arbiters", RawBsonRef::Array(hosts)) => {
                let hosts = hosts.into_iter().flatten().filter_map(RawBsonRef::as_str);
                let mut mapped = RawArrayBuf::new();
                for host in hosts.filter_map(&local) {
                    mapped.push(host);
                }
                out.append(key, mapped);
            }
            ("primary" | "me", RawBsonRef::String(host)) => {
                if let Some(host) = local(host) {
                    out.append(key, host);
                }
            }
            (_, value) => out.append(key, value),
        }
    }
    Ok(out)
}

/// What the server that answers is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    Primary,
    /// And who is primary, if it knows.
    Secondary(Option<&'a str>),
    /// Of no set.
    NoMember,
}

pub(crate) fn role(body: &RawDocument) -> Role<'_> {
    if !is_of_a_set(body) {
        return Role::NoMember;
    }
    let says = |key| body.get_bool(key).is_ok_and(|is_so| is_so);
    if says("isWritablePrimary") || says("ismaster") {
        return Role::Primary;
    }
    Role::Secondary(body.get_str("primary").ok())
}

fn is_of_a_set(body: &RawDocument) -> bool {
    matches!(body.get("setName"), Ok(Some(RawBsonRef::String(_))))
}
