use api::server::Quotas;

use super::*;
use crate::{
    decide::{
        structure,
        tests::setup::{apply, catalog, database, observed, wishes},
    },
    wishes::{Bounds, Mode},
};

fn limited(limit: Option<i32>) -> Wishes {
    let quotas = Quotas {
        max_connections_per_login: limit,
        ..Quotas::default()
    };
    Wishes {
        bounds: Some(Bounds {
            server: "main".to_owned(),
            quotas,
        }),
        ..wishes(Mode::Create)
    }
}

/// Takes all steps; that there are none after them is part of it.
fn settle(wishes: &Wishes, server: &mut Catalog) -> Vec<ServerStep> {
    let steps = |server: &Catalog| {
        let seen = observed(None, server.clone());
        structure(wishes, &database(), &seen).unwrap()
    };
    let taken = steps(server);
    apply(server, &taken);
    assert_eq!(steps(server), [], "applied and observed again");
    taken
}

fn limits(server: &Catalog) -> [Option<i32>; 2] {
    ["clerk_a", "clerk_b"].map(|login| server.roles[login].connection_limit)
}

#[test]
fn both_logins_are_limited_and_only_the_difference_is_a_step() {
    let mut server = catalog(&[]);
    settle(&limited(Some(5)), &mut server);
    assert_eq!(limits(&server), [Some(5), Some(5)]);
    server.roles.get_mut("clerk_b").unwrap().connection_limit = None;
    let steps = settle(&limited(Some(5)), &mut server);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(settle(&limited(Some(7)), &mut server).len(), 2);
    assert_eq!(limits(&server), [Some(7), Some(7)]);
    assert_eq!(settle(&limited(None), &mut server).len(), 2);
    assert_eq!(limits(&server), [None, None]);
}

#[test]
fn a_limit_that_an_operator_set_by_hand_stays_without_a_quota() {
    let mut server = catalog(&[]);
    settle(&limited(None), &mut server);
    server.roles.get_mut("clerk_a").unwrap().connection_limit = Some(3);
    assert_eq!(settle(&limited(None), &mut server), []);
    settle(&limited(Some(9)), &mut server);
    assert_eq!(limits(&server), [Some(9), Some(9)]);
}

#[test]
fn a_limit_survives_a_new_life_of_its_claim_and_keeps_an_attempt() {
    let mut server = catalog(&[]);
    settle(&limited(Some(5)), &mut server);
    let login = server.roles.get_mut("clerk_a").unwrap();
    let attempted = login.mark().unwrap().attempt("17");
    login.comment = Some(attempted.to_string());
    let mut again = limited(Some(5));
    again.claim.uid = "uid-2".to_owned();
    settle(&again, &mut server);
    let mark = server.roles["clerk_a"].mark().unwrap();
    assert_eq!((mark.uid.as_str(), mark.limited), ("uid-2", true));
    assert_eq!(mark.attempt.as_deref(), Some("17"));
    let mut never = limited(None);
    never.claim.uid = "uid-3".to_owned();
    settle(&never, &mut server);
    let mark = server.roles["clerk_a"].mark().unwrap();
    assert_eq!(mark.attempt.as_deref(), Some("17"));
    assert_eq!(limits(&server), [None, None]);
}

/// A cloud's server, whose admin may give the power that it has.
fn cloud() -> Catalog {
    Catalog {
        has_rds_superuser: true,
        grants_rds_superuser: true,
        ..catalog(&[])
    }
}

fn elevated(elevation: Elevation) -> Wishes {
    Wishes {
        elevation,
        ..wishes(Mode::Create)
    }
}

fn has_power(server: &Catalog) -> bool {
    let owner = &server.roles["clerk"];
    let is_member = owner.member_of.iter().any(|name| name == RDS_SUPERUSER);
    assert_eq!(owner.can_create_roles, is_member);
    is_member
}

#[test]
fn row_32_power_comes_and_goes_with_consent() {
    let mut server = cloud();
    settle(&elevated(Elevation::Granted), &mut server);
    assert!(has_power(&server));
    // A half of it, taken by hand, is given again, and never more than that.
    server.roles.get_mut("clerk").unwrap().can_create_roles = false;
    let owner = server.roles.get_mut("clerk").unwrap();
    owner.member_of.clear();
    assert_eq!(settle(&elevated(Elevation::Granted), &mut server).len(), 1);
    assert_eq!(settle(&elevated(Elevation::Denied), &mut server).len(), 1);
    assert!(!has_power(&server));
}

#[test]
fn row_32_what_the_server_or_its_admin_can_not_do_is_left_alone() {
    for (mut server, want) in [
        (catalog(&[]), NoElevation::NoRole),
        (
            Catalog {
                grants_rds_superuser: false,
                ..cloud()
            },
            NoElevation::WeakAdmin,
        ),
    ] {
        assert_eq!(no_elevation(&server), Some(want));
        settle(&elevated(Elevation::Granted), &mut server);
        assert!(!has_power(&server));
        server.roles.get_mut("clerk").unwrap().can_create_roles = true;
        assert_eq!(settle(&elevated(Elevation::Denied), &mut server), []);
    }
    // A tenant's own roles are what its database's admin made them.
    let mut server = cloud();
    settle(&elevated(Elevation::NotOurs), &mut server);
    server.roles.get_mut("clerk").unwrap().can_create_roles = true;
    assert_eq!(settle(&elevated(Elevation::NotOurs), &mut server), []);
}
