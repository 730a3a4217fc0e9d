use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    ErrorClass,
    address::Engine,
    catalog::Role,
    decide::{self, tests::setup},
    observed::Observed,
    secret::Stored,
    wishes::{Access, RoleWish},
};

fn wishes(mode: Mode) -> Wishes {
    Wishes {
        engine: Engine::Mongo,
        access: Access {
            others: vec![name("profiles")],
            ..Access::default()
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
        ..Database::default()
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

/// A claim whose databases each log it in.
fn per_database(mode: Mode) -> Wishes {
    let mut wishes = wishes(mode);
    wishes.access.is_per_database = true;
    wishes
}

/// The login wherever it is defined.
fn everywhere<'a>(catalog: &'a mut Catalog, login: &Login) -> impl Iterator<Item = &'a mut Role> {
    let copies = catalog.copies.values_mut();
    let all = std::iter::once(&mut catalog.roles).chain(copies);
    all.filter_map({
        let login = login.clone();
        move |roles| roles.get_mut(login.as_str())
    })
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
            ServerStep::CreateCopy {
                login,
                database,
                mark,
            } => {
                let made = self::login(Some(&mark.to_string()), &[]);
                let roles = catalog.copies.entry(database.clone()).or_default();
                assert_eq!(roles.insert(login.to_string(), made), None);
            }
            ServerStep::MarkLogin { login, mark } => {
                for role in everywhere(catalog, login) {
                    role.comment = Some(mark.to_string());
                }
            }
            ServerStep::GrantRoles { login, roles } => {
                for role in everywhere(catalog, login) {
                    role.member_of.extend(roles.iter().map(ToString::to_string));
                    role.member_of.sort();
                    role.member_of.dedup();
                }
            }
            ServerStep::RevokeRoles { login, roles } => {
                let is_kept = |name: &String| roles.iter().all(|role| role.to_string() != *name);
                for role in everywhere(catalog, login) {
                    role.member_of.retain(is_kept);
                }
            }
            ServerStep::OwnDatabase { database, mark, .. } => {
                let made = self::database(Some(&mark.to_string()));
                catalog.databases.insert(database.clone(), made);
            }
            ServerStep::DropLogin { login, .. } => {
                catalog.roles.remove(login.as_str());
            }
            ServerStep::DropCopy { login, database } => {
                let roles = catalog.copies.get_mut(database).unwrap();
                roles.remove(login.as_str()).unwrap();
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
fn where_each_database_logs_in_the_logins_are_the_same_in_each() {
    let mut seen = observed(&[], &[]);
    let mut wishes = per_database(Mode::Create);
    let first = steps(&wishes, &seen).unwrap();
    carry_out(&first, &mut seen.catalog);
    assert_eq!(steps(&wishes, &seen), Ok(vec![]));
    assert_eq!(
        seen.catalog.copies.get("profiles"),
        Some(&seen.catalog.roles)
    );

    // One that was dropped by hand comes back, and nothing else.
    let copies = seen.catalog.copies.get_mut("profiles").unwrap();
    copies.remove("clerk_b").unwrap();
    let again = steps(&wishes, &seen).unwrap();
    assert!(
        matches!(
            again.as_slice(),
            [ServerStep::CreateCopy { .. }, ServerStep::GrantRoles { .. }]
        ),
        "{again:?}"
    );
    carry_out(&again, &mut seen.catalog);

    // One database more, one less.
    wishes.access.recorded = vec!["orders".to_owned(), "profiles".to_owned()];
    wishes.access.others = vec![name("image")];
    let moved = steps(&wishes, &seen).unwrap();
    carry_out(&moved, &mut seen.catalog);
    assert_eq!(seen.catalog.copies.get("profiles"), Some(&BTreeMap::new()));
    assert_eq!(seen.catalog.copies.get("image"), Some(&seen.catalog.roles));
    wishes.access.recorded = wishes.access.to_record(&name("orders"), Some("orders"));
    assert_eq!(steps(&wishes, &seen), Ok(vec![]));

    let last = decide::farewell(&wishes, &name("orders"), &seen.catalog);
    carry_out(&last, &mut seen.catalog);
    assert_eq!(seen.catalog.roles, BTreeMap::new());
    assert!(seen.catalog.copies.values().all(BTreeMap::is_empty));
}

#[test]
fn logins_stay_where_the_published_connection_strings_name_them() {
    let mut seen = observed(&[], &[]);
    let mut wishes = per_database(Mode::Create);
    wishes.access.recorded = vec!["archive".to_owned()];
    let mine = BTreeMap::from([("clerk_a".to_owned(), login(Some(MINE), &[]))]);
    seen.catalog.copies.insert("archive".to_owned(), mine);
    let drops = |seen: &Observed| {
        let steps = steps(&wishes, seen).unwrap();
        let drops = |step: &ServerStep| matches!(step, ServerStep::DropCopy { .. });
        steps.iter().any(drops)
    };
    assert!(drops(&seen));
    let mut secret = Stored::default();
    let published = ("authSource".to_owned(), "archive".into());
    secret.data.extend([published]);
    seen.secret = Some(secret);
    assert!(!drops(&seen));
}

#[test]
fn somebody_elses_login_in_one_of_the_databases_is_named_and_stays() {
    let mut seen = observed(&[], &[]);
    let theirs = BTreeMap::from([("clerk_b".to_owned(), login(Some(THEIRS), &[]))]);
    seen.catalog.copies.insert("profiles".to_owned(), theirs);
    let wishes = per_database(Mode::Create);
    let refusal = steps(&wishes, &seen).unwrap_err().to_string();
    assert!(
        refusal.contains("profiles.clerk_b on the server belongs to claim shop/other"),
        "{refusal}"
    );
    assert_eq!(
        decide::farewell(&wishes, &name("orders"), &seen.catalog),
        []
    );
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
        copied in any::<bool>(),
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
        if copied {
            let copies = seen.catalog.roles.clone();
            seen.catalog.copies.insert("profiles".to_owned(), copies);
        }
        let wishes = if copied { per_database(Mode::Create) } else { wishes(Mode::Create) };
        let first = steps(&wishes, &seen).unwrap();
        carry_out(&first, &mut seen.catalog);
        prop_assert_eq!(steps(&wishes, &seen), Ok(vec![]));
        for (name, (is_current, _)) in &logins {
            let mark = seen.catalog.roles.get(*name).unwrap().mark().unwrap();
            prop_assert_eq!(mark.attempt.is_some(), !is_current);
        }
    }
}
