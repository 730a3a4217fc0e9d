use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    ErrorClass,
    address::Engine,
    catalog::Role,
    decide::{self, tests::setup},
    observed::Observed,
    wishes::{Access, RoleWish},
};

fn wishes(mode: Mode) -> Wishes {
    Wishes {
        engine: Engine::Mongo,
        access: Access {
            others: vec![name("profiles")],
            roles: Vec::new(),
        },
        ..setup::wishes(mode)
    }
}

fn name(text: &str) -> DatabaseName {
    DatabaseName::try_from(text).unwrap()
}

fn login(mark: Option<&str>, roles: &[&str]) -> Role {
    Role {
        can_login: true,
        comment: mark.map(str::to_owned),
        member_of: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Role::default()
    }
}

const MINE: &str = "db-controller claim=shop/orders uid=uid-1";
const THEIRS: &str = "db-controller claim=shop/other uid=uid-2";

fn database(mark: Option<&str>) -> Database {
    Database {
        owner: String::new(),
        comment: mark.map(str::to_owned),
        admin_owns: false,
    }
}

fn observed(roles: &[(&str, Role)], databases: &[(&str, Option<&str>)]) -> Observed {
    let mut catalog = setup::catalog(roles);
    catalog.databases = databases
        .iter()
        .map(|(found, mark)| (name(found), database(*mark)))
        .collect();
    setup::observed(None, catalog)
}

fn steps(wishes: &Wishes, observed: &Observed) -> Result<Vec<ServerStep>, Refusal> {
    decide::structure(wishes, &name("orders"), observed)
}

/// What a server does with the steps.
fn carry_out(steps: &[ServerStep], catalog: &mut Catalog) {
    for step in steps {
        match step {
            ServerStep::CreateLogin { login, mark, .. } => {
                let made = self::login(Some(&mark.to_string()), &[]);
                let before = catalog.roles.insert(login.to_string(), made);
                assert_eq!(before, None);
            }
            ServerStep::MarkLogin { login, mark } => {
                let role = catalog.roles.get_mut(login.as_str()).unwrap();
                role.comment = Some(mark.to_string());
            }
            ServerStep::GrantRoles { login, roles } => {
                let role = catalog.roles.get_mut(login.as_str()).unwrap();
                role.member_of.extend(roles.iter().map(ToString::to_string));
            }
            ServerStep::RevokeRoles { login, roles } => {
                let role = catalog.roles.get_mut(login.as_str()).unwrap();
                let is_kept = |name: &String| roles.iter().all(|role| role.to_string() != *name);
                role.member_of.retain(is_kept);
            }
            ServerStep::OwnDatabase { database, mark, .. } => {
                let made = self::database(Some(&mark.to_string()));
                catalog.databases.insert(database.clone(), made);
            }
            ServerStep::DropLogin { login, .. } => {
                catalog.roles.remove(login.as_str());
            }
            ServerStep::DropDatabase { database } => {
                catalog.databases.remove(database);
            }
            other => panic!("not MongoDB's: {other:?}"),
        }
    }
}

#[test]
fn a_new_claim_reserves_its_databases_and_has_two_logins_with_the_same_roles() {
    let mut seen = observed(&[], &[]);
    let wishes = wishes(Mode::Create);
    let steps = steps(&wishes, &seen).unwrap();
    carry_out(&steps, &mut seen.catalog);
    for login in ["clerk_a", "clerk_b"] {
        let role = seen.catalog.roles.get(login).unwrap();
        assert_eq!(role.member_of, ["orders.readWrite", "profiles.readWrite"]);
        assert_eq!(role.comment.as_deref(), Some(MINE));
    }
    let reserved: Vec<_> = seen
        .catalog
        .databases
        .keys()
        .map(DatabaseName::as_str)
        .collect();
    assert_eq!(reserved, ["orders", "profiles"]);
    assert_eq!(self::steps(&wishes, &seen), Ok(vec![]));
}

#[test]
fn logins_on_an_existing_database_reserve_nothing() {
    let seen = observed(&[], &[("orders", None), ("profiles", None)]);
    let steps = steps(&wishes(Mode::Adopt), &seen).unwrap();
    let reserves = |step: &ServerStep| matches!(step, ServerStep::OwnDatabase { .. });
    assert!(!steps.iter().any(reserves), "{steps:?}");
}

#[test]
fn what_is_somebody_elses_is_refused_and_stays() {
    let check = |mode, roles: &[(&str, Role)], databases: &[(&str, Option<&str>)], want: &str| {
        let refusal = steps(&wishes(mode), &observed(roles, databases)).unwrap_err();
        assert_eq!(refusal.class(), ErrorClass::Blocked);
        assert!(refusal.to_string().contains(want), "{refusal}");
    };
    let unmarked = [("clerk_a", login(None, &[]))];
    let theirs = [("clerk_b", login(Some(THEIRS), &[]))];
    check(Mode::Create, &unmarked, &[], "clerk_a exists");
    check(Mode::Create, &theirs, &[], "belongs to claim shop/other");
    check(Mode::Adopt, &theirs, &[], "belongs to claim shop/other");
    check(
        Mode::Create,
        &[],
        &[("profiles", None)],
        "profiles exists on the server",
    );
    check(
        Mode::Create,
        &[],
        &[("orders", Some(THEIRS))],
        "belongs to claim shop/other",
    );
    // A login of another claim's making is no key to a database.
    let mine = [("clerk_a", login(Some(MINE), &["orders.readWrite"]))];
    check(
        Mode::Create,
        &mine,
        &[("profiles", None)],
        "profiles exists on the server",
    );
}

#[test]
fn an_unmarked_login_is_adopted_where_the_claim_adopts() {
    let seen = observed(
        &[("clerk_a", login(None, &["orders.dbOwner", "admin.root"]))],
        &[],
    );
    let steps = steps(&wishes(Mode::Adopt), &seen).unwrap();
    let revoked: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            ServerStep::RevokeRoles { roles, .. } => Some(roles.clone()),
            _ => None,
        })
        .flatten()
        .map(|role| role.to_string())
        .collect();
    assert_eq!(revoked, ["admin.root", "orders.dbOwner"]);
}

#[test]
fn a_lost_reservation_is_made_again_where_the_logins_are_there() {
    let mine = [("clerk_b", login(Some(MINE), &["orders.readWrite"]))];
    let seen = observed(&mine, &[("orders", None)]);
    let steps = steps(&wishes(Mode::Create), &seen).unwrap();
    assert!(
        matches!(steps.first(), Some(ServerStep::OwnDatabase { .. })),
        "{steps:?}"
    );
}

#[test]
fn no_claim_reaches_the_servers_own_databases() {
    let check = |others: &[&str], roles: &[(&str, &str)]| {
        let mut wishes = wishes(Mode::Create);
        wishes.access.others = others.iter().copied().map(name).collect();
        wishes.access.roles = roles
            .iter()
            .map(|(role, database)| RoleWish {
                role: (*role).to_owned(),
                database: Some(name(database)),
            })
            .collect();
        let refusal = steps(&wishes, &observed(&[], &[])).unwrap_err();
        assert_eq!(refusal.class(), ErrorClass::InvalidSpec, "{refusal}");
    };
    for system in ["admin", "ADMIN", "config", "local", "dbclaims"] {
        check(&[system], &[]);
    }
    check(&["a.b"], &[]);
    check(&[], &[("root", "admin")]);
    check(&[], &[("readWrite", "elsewhere")]);
}

#[test]
fn an_end_takes_the_logins_first_and_nothing_of_others() {
    let earlier = "db-controller claim=shop/orders uid=uid-0";
    let roles = [
        ("clerk_a", login(Some(MINE), &[])),
        ("clerk_b", login(Some(earlier), &[])),
        ("seller_a", login(Some(MINE), &[])),
    ];
    let databases = [("orders", Some(MINE)), ("profiles", Some(THEIRS))];
    let seen = observed(&roles, &databases);
    let farewell = |mode| {
        let steps = decide::farewell(&wishes(mode), &name("orders"), &seen.catalog);
        let text = |step: &ServerStep| match step {
            ServerStep::DropLogin { login, .. } => format!("login {login}"),
            ServerStep::DropDatabase { database } => format!("database {database}"),
            other => panic!("{other:?}"),
        };
        steps.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(farewell(Mode::Create), ["login clerk_a", "database orders"]);
    assert_eq!(farewell(Mode::Adopt), ["login clerk_a"]);
}

proptest! {
    #[test]
    fn applying_and_observing_again_leaves_nothing_to_do(
        logins in prop::collection::btree_map(
            prop::sample::select(vec!["clerk_a", "clerk_b"]),
            (any::<bool>(), prop::collection::btree_set("(orders|profiles|other)\\.(read|dbOwner|readWrite)", 0..4)),
            0..=2,
        ),
        reserved in any::<bool>(),
    ) {
        let roles: Vec<_> = logins
            .iter()
            .map(|(name, (is_current, roles))| {
                let mark = if *is_current { MINE } else { "db-controller claim=shop/orders uid=uid-0 attempt=7" };
                let roles: Vec<_> = roles.iter().map(String::as_str).collect();
                (*name, login(Some(mark), &roles))
            })
            .collect();
        let databases: BTreeMap<_, _> = reserved.then_some(("orders", Some(MINE))).into_iter().collect();
        let databases: Vec<_> = databases.into_iter().collect();
        let mut seen = observed(&roles, &databases);
        let wishes = wishes(Mode::Create);
        let first = steps(&wishes, &seen).unwrap();
        carry_out(&first, &mut seen.catalog);
        prop_assert_eq!(steps(&wishes, &seen), Ok(vec![]));
        for (name, (is_current, _)) in &logins {
            let mark = seen.catalog.roles.get(*name).unwrap().mark().unwrap();
            prop_assert_eq!(mark.attempt.is_some(), !is_current);
        }
    }
}
