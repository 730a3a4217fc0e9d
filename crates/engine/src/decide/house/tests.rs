//! A provisioned claim, and what hands do to its roles and its database.

use proptest::prelude::*;
use strum::IntoEnumIterator;

use super::*;
use crate::{
    decide::tests::setup::{
        apply, at, catalog, database, membership, observed, set, stored, wishes,
    },
    mark::Mark,
    wishes::Mode,
};

/// What somebody did by hand.
#[derive(Debug, Clone)]
enum Hand {
    Attribute(&'static str, Attribute),
    Grant {
        role: &'static str,
        member: &'static str,
        grantor: &'static str,
    },
    /// Takes a login out of the owner role.
    Expel(&'static str),
    /// A login runs as itself.
    Reset(&'static str),
    DropIdle,
    GiveDatabase,
    OpenDatabase,
}

/// `clerk_a` is published, `clerk_b` is idle.
const ROLES: [&str; 3] = ["clerk", "clerk_a", "clerk_b"];

fn hands() -> impl Strategy<Value = Vec<Hand>> {
    let attributes: Vec<_> = Attribute::iter().collect();
    let login = || prop::sample::select(&["clerk_a", "clerk_b"][..]);
    let grantor = || prop::sample::select(&["root", "postgres"][..]);
    let hand = prop_oneof![
        (
            prop::sample::select(&ROLES[..]),
            prop::sample::select(attributes)
        )
            .prop_map(|(role, attribute)| Hand::Attribute(role, attribute)),
        (prop::sample::select(&["ops", "audit"][..]), grantor()).prop_map(|(member, grantor)| {
            Hand::Grant {
                role: "clerk",
                member,
                grantor,
            }
        }),
        (prop::sample::select(&ROLES[..]), grantor()).prop_map(|(member, grantor)| {
            Hand::Grant {
                role: "pg_monitor",
                member,
                grantor,
            }
        }),
        login().prop_map(Hand::Expel),
        login().prop_map(Hand::Reset),
        Just(Hand::DropIdle),
        Just(Hand::GiveDatabase),
        Just(Hand::OpenDatabase),
    ];
    prop::collection::vec(hand, 0..6)
}

impl Hand {
    fn disturb(&self, catalog: &mut Catalog) {
        match self {
            Self::Attribute(name, attribute) => {
                if let Some(role) = catalog.roles.get_mut(*name) {
                    set(role, *attribute, true);
                }
            }
            Self::Grant {
                role,
                member,
                grantor,
            } => {
                let granted = membership(role, member, grantor);
                let is_gone = ROLES.contains(member) && !catalog.roles.contains_key(*member);
                if !is_gone && !catalog.memberships.contains(&granted) {
                    catalog.memberships.push(granted);
                }
            }
            Self::Expel(login) => {
                let is_it =
                    |it: &crate::catalog::Membership| it.member == *login && it.role == "clerk";
                catalog.memberships.retain(|it| !is_it(it));
                if let Some(role) = catalog.roles.get_mut(*login) {
                    role.member_of.clear();
                }
            }
            Self::Reset(login) => {
                if let Some(role) = catalog.roles.get_mut(*login) {
                    role.session_role = None;
                }
            }
            Self::DropIdle => {
                catalog.roles.remove("clerk_b");
                catalog.memberships.retain(|it| it.member != "clerk_b");
            }
            Self::GiveDatabase => {
                catalog.database.as_mut().unwrap().owner = "ops".to_owned();
            }
            Self::OpenDatabase => {
                let database = catalog.database.as_mut().unwrap();
                database.public_rights = vec!["CONNECT".to_owned()];
            }
        }
    }

    /// Whether it takes from the published login what it needs to log in.
    fn locks_out(&self) -> bool {
        match self {
            Self::Attribute(name, attribute) => {
                *name == "clerk_a" && matches!(attribute, Attribute::Inherit | Attribute::NoExpiry)
            }
            Self::Expel(login) => *login == "clerk_a",
            _ => false,
        }
    }
}

/// The claim as it is once all is well, and then in somebody's hands.
fn provisioned(wishes: &Wishes, hands: &[Hand], is_superuser: bool) -> Observed {
    let mut server = catalog(&[]);
    server.admin.is_superuser = is_superuser;
    let first = super::structure(wishes, &database(), &observed(None, server.clone())).unwrap();
    apply(&mut server, &first);
    for hand in hands {
        hand.disturb(&mut server);
    }
    let mut seen = observed(Some(stored("clerk_a")), server);
    seen.recorded.database = Some(database().to_string());
    seen.recorded.is_provisioned = true;
    seen.recorded.is_carried_out = true;
    seen
}

fn look(wishes: &Wishes, seen: &Observed) -> House {
    house(wishes, &database(), seen, at(1_000_060)).unwrap()
}

fn carry_out(seen: &mut Observed, house: &House) {
    apply(&mut seen.catalog, &house.steps);
    apply(&mut seen.catalog, &house.repairs);
}

fn observing() -> Wishes {
    Wishes {
        drift: DriftPolicy::Observe,
        ..wishes(Mode::Create)
    }
}

proptest! {
    #[test]
    fn what_was_repaired_differs_no_more(hands in hands(), is_superuser: bool) {
        let wishes = wishes(Mode::Create);
        let mut seen = provisioned(&wishes, &hands, is_superuser);
        let first = look(&wishes, &seen);
        carry_out(&mut seen, &first);
        let again = look(&wishes, &seen);
        prop_assert!(!again.has_work(), "{again:?}");
        // What the admin may not do is told every time, and nothing else is.
        prop_assert!(again.left.iter().all(|(_, why)| *why == Why::Admin), "{again:?}");
        prop_assert!(!is_superuser || again.left.is_empty(), "{again:?}");
    }

    #[test]
    fn who_only_observes_changes_nothing_but_what_locks_the_published_login_out(
        hands in hands(),
    ) {
        let wishes = observing();
        let seen = provisioned(&wishes, &hands, true);
        let found = look(&wishes, &seen);
        let locked_out = hands.iter().any(Hand::locks_out);
        prop_assert_eq!(found.has_work(), locked_out, "{:?}", found);
        prop_assert!(found.left.iter().all(|(_, why)| *why == Why::Policy), "{found:?}");
        // Both policies see the same.
        let repairing = Wishes { drift: DriftPolicy::Repair, ..wishes };
        let repaired = look(&repairing, &seen);
        let all = |house: &House| house.steps.len() + house.repairs.len() + house.left.len();
        let notes = |house: &House| {
            let all = house.steps.iter().chain(&house.repairs);
            all.chain(house.left.iter().map(|(step, _)| step)).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(all(&found), all(&repaired));
        for step in notes(&repaired) {
            prop_assert!(notes(&found).contains(&step), "{step:?}");
            // Every difference has a sentence, but for the notes on what is made again.
            prop_assert!(step.difference().is_some(), "{step:?}");
        }
    }

    #[test]
    fn the_same_differences_are_told_in_the_same_words(hands in hands()) {
        let wishes = observing();
        let seen = provisioned(&wishes, &hands, false);
        let mut shuffled = seen.clone();
        let told = look(&wishes, &seen).drift().condition();
        prop_assert_eq!(&look(&wishes, &shuffled).drift().condition(), &told);
        // A rotation changes nothing in it.
        shuffled.recorded.generation += 1;
        prop_assert_eq!(&look(&wishes, &shuffled).drift().condition(), &told);
    }
}

#[test]
fn a_login_is_put_right_before_it_is_published() {
    let wishes = observing();
    let hands = [
        Hand::Expel("clerk_b"),
        Hand::Reset("clerk_b"),
        Hand::Attribute("clerk_b", Attribute::Inherit),
        Hand::Attribute("clerk_b", Attribute::NoCreateDb),
    ];
    let seen = provisioned(&wishes, &hands, false);
    assert!(!look(&wishes, &seen).has_work());
    let due = house(&wishes, &database(), &seen, at(1_000_000 + 2 * 3600)).unwrap();
    let titles = |steps: &[ServerStep]| steps.iter().map(ServerStep::title).collect::<Vec<_>>();
    assert_eq!(
        titles(&due.steps),
        [
            "making clerk_b a member of clerk",
            "letting clerk_b run as clerk"
        ]
    );
    assert_eq!(titles(&due.repairs), ["making clerk_b INHERIT"]);
    assert_eq!(due.left.len(), 1);
}

#[test]
fn what_a_changed_spec_asks_for_is_made_also_where_the_server_is_only_looked_at() {
    let mut wishes = observing();
    wishes.wants_replication = true;
    let mut seen = provisioned(&wishes, &[Hand::OpenDatabase], true);
    let found = look(&wishes, &seen);
    assert!(!found.has_work() && found.left.len() == 3, "{found:?}");
    seen.recorded.is_carried_out = false;
    let asked = look(&wishes, &seen);
    assert!(
        asked
            .steps
            .iter()
            .all(|step| matches!(step, ServerStep::AllowReplication { .. })),
        "{asked:?}"
    );
    // What no spec asks for is still only looked at.
    assert_eq!((asked.steps.len(), asked.left.len()), (2, 1));
}

#[test]
fn nothing_is_taken_from_an_owner_role_that_is_older_than_its_claim() {
    let wishes = wishes(Mode::Create);
    let hands = [
        Hand::Attribute("clerk", Attribute::NoLogin),
        Hand::Grant {
            role: "clerk",
            member: "ops",
            grantor: "root",
        },
        Hand::Attribute("clerk_a", Attribute::NoExpiry),
    ];
    let mut seen = provisioned(&wishes, &hands, true);
    let mark = wishes.claim.mark();
    for older in [mark.clone().found(), mark.adopted()] {
        let adopts = older.adopted;
        let owner = seen.catalog.roles.get_mut("clerk").unwrap();
        owner.comment = Some(older.to_string());
        let wishes = Wishes {
            mode: if adopts { Mode::Adopt } else { Mode::Create },
            ..wishes.clone()
        };
        let found = look(&wishes, &seen);
        assert_eq!(
            (found.steps.len(), found.repairs.len()),
            (0, 1),
            "{found:?}"
        );
        let why: Vec<_> = found.left.iter().map(|(_, why)| *why).collect();
        assert_eq!(why, [Why::Older; 2]);
    }
}

#[test]
fn a_role_that_was_taken_over_is_known_as_one_ever_after() {
    let wishes = wishes(Mode::Create);
    let mut seen = provisioned(&wishes, &[], false);
    for role in seen.catalog.roles.values_mut() {
        role.comment = None;
    }
    seen.catalog.database.as_mut().unwrap().comment = None;
    seen.recorded.is_provisioned = false;
    let first = look(&wishes, &seen);
    carry_out(&mut seen, &first);
    let mark = seen.catalog.roles["clerk"].mark().unwrap();
    assert!(mark.found, "{mark}");
    let again = look(&wishes, &seen);
    assert_eq!(again, House::default());
    // Neither in the next life of the claim.
    let mut reborn = wishes;
    reborn.claim.uid = "uid-2".to_owned();
    let third = look(&reborn, &seen);
    carry_out(&mut seen, &third);
    let mark = seen.catalog.roles["clerk"].mark().unwrap();
    assert!(mark.found && mark.uid == "uid-2", "{mark}");
}

#[test]
fn an_admin_that_is_no_superuser_is_asked_only_for_what_it_may_do() {
    let wishes = wishes(Mode::Create);
    let check = |version: u32, attribute: Attribute, may: bool| {
        let mut seen = provisioned(&wishes, &[Hand::Attribute("clerk", attribute)], false);
        seen.catalog.version = version;
        let found = look(&wishes, &seen);
        assert_eq!(
            found.repairs.len(),
            usize::from(may),
            "{version} {attribute:?}"
        );
        assert_eq!(
            found.left.len(),
            usize::from(!may),
            "{version} {attribute:?}"
        );
    };
    for version in [150_000, 160_000] {
        check(version, Attribute::NoLogin, true);
        check(version, Attribute::NoCreateRole, true);
        check(version, Attribute::NoCreateDb, true);
        check(version, Attribute::NoSuperuser, false);
        check(version, Attribute::NoReplication, false);
        check(version, Attribute::NoBypassRls, false);
    }
    let mut seen = provisioned(
        &wishes,
        &[Hand::Attribute("clerk", Attribute::NoLogin)],
        false,
    );
    seen.catalog.roles.get_mut("clerk").unwrap().is_out_of_reach = true;
    assert_eq!(look(&wishes, &seen).left.len(), 1);
}

#[test]
fn a_database_with_a_forged_mark_is_still_somebody_elses() {
    let wishes = wishes(Mode::Create);
    let mut seen = provisioned(&wishes, &[Hand::GiveDatabase], true);
    assert_eq!(look(&wishes, &seen).repairs.len(), 1);
    seen.recorded.is_provisioned = false;
    let err = house(&wishes, &database(), &seen, at(1_000_060)).unwrap_err();
    assert!(matches!(err, Refusal::ForeignDatabase { .. }), "{err}");
    seen.recorded.is_provisioned = true;
    let mark = Mark::new("shop/billing", "uid-9").to_string();
    seen.catalog.database.as_mut().unwrap().comment = Some(mark);
    let err = house(&wishes, &database(), &seen, at(1_000_060)).unwrap_err();
    assert!(matches!(err, Refusal::ForeignDatabase { .. }), "{err}");
}

#[test]
fn a_plan_says_what_would_not_be_done() {
    let wishes = observing();
    let seen = provisioned(&wishes, &[Hand::OpenDatabase, Hand::Expel("clerk_b")], true);
    let plan = super::super::plan(&wishes, &database(), &seen, at(1_000_060));
    assert_eq!(
        plan,
        [
            "not making clerk_b a member of clerk: driftPolicy is Observe",
            "not closing database ordersdb to PUBLIC: driftPolicy is Observe",
        ]
    );
}
