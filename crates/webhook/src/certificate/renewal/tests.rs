//! Years of renewals, and the handshakes in between.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use super::{Due, Kept, Life, Seen, due, renewed};

const DAY: i64 = 24 * 3600;

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
}

fn names() -> Vec<String> {
    vec!["webhook.store.svc".to_owned()]
}

/// Whether who trusts `bundle` believes what `kept` presents.
fn is_believed(kept: &Kept, bundle: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let judge = judge.build().unwrap();
    let leaf = CertificateDer::from_pem_slice(kept.leaf.chain.as_bytes()).unwrap();
    let name = ServerName::try_from("webhook.store.svc").unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    judge
        .verify_server_cert(&leaf, &[], &name, &[], now)
        .is_ok()
}

fn count(bundle: &str) -> usize {
    CertificateDer::pem_slice_iter(bundle.as_bytes()).count()
}

#[test]
fn row_59_what_is_due_follows_from_ages_alone() {
    let life = |from, until| Life {
        from: day(from),
        until: day(until),
    };
    let check = |authority, leaf, has_names, now, want| {
        let seen = Seen {
            authority,
            leaf,
            has_names,
        };
        assert_eq!(due(&seen, day(now)), want, "{seen:?} on day {now}");
    };
    let authority = life(0, 900);
    check(authority, life(0, 90), true, 59, Due::Nothing);
    check(authority, life(0, 90), true, 60, Due::Leaf);
    check(authority, life(0, 90), true, 90, Due::Leaf);
    check(authority, life(0, 90), false, 1, Due::Leaf);
    check(authority, life(590, 680), true, 599, Due::Nothing);
    check(authority, life(590, 680), true, 600, Due::Authority);
    check(life(600, 1500), life(590, 680), true, 600, Due::Nothing);
    check(life(600, 1500), life(590, 680), true, 601, Due::Leaf);
    check(authority, life(0, 90), true, 900, Due::Everything);
}

#[test]
fn row_59_over_years_each_step_is_believed_by_the_old_and_the_new_bundle() {
    let names = names();
    let mut kept = renewed(None, &names, day(0)).unwrap().unwrap();
    let mut authorities = 1;
    // Each half day; API servers and other replicas learn of a step only at the next one.
    for half in 1..4 * 365 * 2 {
        let now = day(0) + SignedDuration::from_hours(half * 12);
        let next = renewed(Some(&kept), &names, now).unwrap();
        let Some(next) = next else {
            assert!(is_believed(&kept, &kept.authorities, now));
            continue;
        };
        assert!(is_believed(&next, &kept.authorities, now), "bundle is late");
        assert!(is_believed(&kept, &next.authorities, now), "leaf is late");
        if next.authorities != kept.authorities {
            authorities += 1;
            assert_eq!(count(&next.authorities), 2);
            assert!(next.authorities.ends_with(&kept.authorities));
        }
        assert!(renewed(Some(&next), &names, now).unwrap().is_none());
        kept = next;
    }
    assert_eq!(authorities, 2);
}

#[test]
fn row_59_an_expired_authority_leaves_the_bundle() {
    let names = names();
    let first = renewed(None, &names, day(0)).unwrap().unwrap();
    let second = renewed(Some(&first), &names, day(800)).unwrap().unwrap();
    let second = renewed(Some(&second), &names, day(801)).unwrap();
    let second = second.unwrap();
    let third = renewed(Some(&second), &names, day(1700)).unwrap().unwrap();
    let third = renewed(Some(&third), &names, day(1701)).unwrap().unwrap();
    assert!(!third.authorities.contains(&first.authorities));
}

#[test]
fn row_59_what_the_secret_holds_comes_out_of_it_again() {
    let kept = renewed(None, &names(), day(0)).unwrap().unwrap();
    let data = kept.data();
    let read = Kept::read(&data).unwrap();
    assert_eq!(read.data(), data);
    assert!(renewed(Some(&read), &names(), day(1)).unwrap().is_none());
    for key in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        let mut partial = data.clone();
        partial.remove(key);
        assert!(Kept::read(&partial).is_none(), "{key}");
    }
}

#[test]
fn row_59_a_certificate_for_other_names_or_a_broken_one_is_replaced() {
    let kept = renewed(None, &names(), day(0)).unwrap().unwrap();
    let more = vec!["webhook.store.svc".to_owned(), "other.svc".to_owned()];
    let renamed = renewed(Some(&kept), &more, day(0)).unwrap().unwrap();
    assert_eq!(renamed.authorities, kept.authorities);
    assert!(is_believed(&renamed, &kept.authorities, day(0)));
    let mut broken = kept.clone();
    broken.leaf.chain = "no certificate".to_owned();
    let mended = renewed(Some(&broken), &names(), day(0)).unwrap().unwrap();
    assert!(is_believed(&mended, &mended.authorities, day(0)));
    // Another replica may still present what was good.
    assert!(is_believed(&kept, &mended.authorities, day(0)));
}
