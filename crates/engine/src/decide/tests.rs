pub(crate) mod setup;

use std::{collections::BTreeMap, time::Duration};

use api::names::annotation;

use super::*;
use crate::{
    catalog::{Contents, Database, Extension, Role, Session},
    mark::Mark,
    names::{Login, RoleName},
    observed::Proof,
    rotation::Cause,
    step::ServerStep,
    wishes::{Mode, Wishes},
};

use self::setup::{apply, at, catalog, database, observed, stored, wishes};

#[test]
fn a_crash_after_any_step_converges_to_the_same_roles_and_database() {
    for mode in [Mode::Adopt, Mode::Create] {
        let wishes = wishes(mode);
        let first = structure(&wishes, &database(), &observed(None, catalog(&[]))).unwrap();
        let mut whole = catalog(&[]);
        apply(&mut whole, &first);
        for done in 0..=first.len() {
            let mut server = catalog(&[]);
            apply(&mut server, &first[..done]);
            let rest = structure(&wishes, &database(), &observed(None, server.clone())).unwrap();
            apply(&mut server, &rest);
            assert_eq!(server, whole, "{mode:?}: crashed after {done} steps");
            let again = structure(&wishes, &database(), &observed(None, server)).unwrap();
            assert_eq!(again, [], "{mode:?}: applied and observed again");
        }
    }
}

#[test]
fn what_others_made_is_never_touched() {
    let foreign = Role {
        comment: Some(crate::mark::Mark::new("shop/billing", "uid-9").to_string()),
        ..Role::default()
    };
    let check = |wishes: &Wishes, catalog, want: &str| {
        let err = structure(wishes, &database(), &observed(None, catalog)).unwrap_err();
        assert!(err.to_string().contains(want), "{err}");
    };
    for mode in [Mode::Adopt, Mode::Create] {
        check(
            &wishes(mode),
            catalog(&[("clerk", foreign.clone())]),
            "claim shop/billing",
        );
        check(
            &wishes(mode),
            catalog(&[("clerk_b", foreign.clone())]),
            "claim shop/billing",
        );
        let superuser = Role {
            is_superuser: true,
            ..Role::default()
        };
        check(&wishes(mode), catalog(&[("clerk", superuser)]), "superuser");
    }
    check(
        &wishes(Mode::Create),
        catalog(&[("clerk", Role::default())]),
        "not made by this claim",
    );
    let mut with_database = catalog(&[]);
    let owner = "root".to_owned();
    with_database.database = Some(Database {
        owner,
        comment: None,
        admin_owns: true,
        ..Database::default()
    });
    check(&wishes(Mode::Create), with_database, "useExistingSource");
}

#[test]
fn row_26_an_admin_without_the_right_is_named() {
    let mut weak = catalog(&[]);
    weak.admin.can_create_roles = false;
    let err = structure(&wishes(Mode::Adopt), &database(), &observed(None, weak)).unwrap_err();
    assert_eq!(
        err.to_string(),
        "the admin root may not create roles; give it CREATEROLE"
    );
}

#[test]
fn row_97_what_the_original_made_is_taken_over_without_a_rotation() {
    let member = Role {
        can_login: true,
        member_of: vec!["clerk".to_owned()],
        session_role: Some("clerk".to_owned()),
        ..Role::default()
    };
    let roles = [
        ("clerk", Role::default()),
        ("clerk_a", member.clone()),
        ("clerk_b", member.clone()),
    ];
    let mut secret = stored("clerk_b");
    secret.annotations.clear();
    let mut seen = observed(Some(secret), catalog(&roles));
    seen.published = Proof::Works;
    seen.recorded.rotated_at = Some(at(1_000_000));
    seen.recorded.database = Some("ordersdb".to_owned());
    assert!(is_take_over(&wishes(Mode::Adopt), &database(), &seen));
    let steps = structure(&wishes(Mode::Adopt), &database(), &seen).unwrap();
    assert!(steps.iter().all(|step| matches!(
        step,
        ServerStep::MarkOwner { .. } | ServerStep::MarkLogin { .. }
    )));
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_060));
    assert_eq!(step, CredentialStep::Keep);
}

#[test]
fn row_30_a_new_user_name_renames_the_role_and_publishes_a_new_pair() {
    let mut server = catalog(&[]);
    let old = wishes(Mode::Adopt);
    let steps = structure(&old, &database(), &observed(None, server.clone())).unwrap();
    apply(&mut server, &steps);
    let new = Wishes {
        role: RoleName::try_from("teller").unwrap(),
        renamed_from: Some(old.role.clone()),
        former_roles: vec![old.role.clone()],
        ..old
    };
    let mut seen = observed(Some(stored("clerk_a")), server.clone());
    let steps = structure(&new, &database(), &seen).unwrap();
    assert!(
        matches!(steps[0], ServerStep::RenameOwner { .. }),
        "{steps:?}"
    );
    apply(&mut seen.catalog, &steps);
    assert!(seen.catalog.roles.contains_key("teller_b"));
    match credential(&new, &seen, at(1_000_060)) {
        CredentialStep::Replace {
            idle,
            cause: Cause::OwnerRenamed,
            ..
        } => {
            assert_eq!(idle.login().as_str(), "teller_a");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn row_12_a_rotation_takes_the_login_that_the_secret_does_not_name() {
    let due = at(1_000_000 + 2 * 3600);
    for (published, idle) in [("clerk_a", "clerk_b"), ("clerk_b", "clerk_a")] {
        let seen = observed(Some(stored(published)), catalog(&[]));
        assert_eq!(
            credential(&wishes(Mode::Adopt), &seen, at(1_000_060)),
            CredentialStep::Keep
        );
        match credential(&wishes(Mode::Adopt), &seen, due) {
            CredentialStep::Replace {
                idle: picked,
                cause: Cause::Due,
                needs_fence,
                ..
            } => {
                assert_eq!(picked.login().as_str(), idle);
                assert!(!needs_fence);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_time_that_is_still_to_come_does_not_stop_the_timer() {
    let due = at(1_000_000 + 2 * 3600);
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[]));
    seen.recorded.rotated_at = Some(at(1_000_000));
    let secret = seen.secret.as_mut().unwrap();
    let forged = at(9_000_000).to_string();
    secret
        .annotations
        .insert(annotation::ROTATED_AT.to_owned(), forged);
    assert_eq!(seen.rotated_at(due), Some(at(1_000_000)));
    let step = credential(&wishes(Mode::Adopt), &seen, due);
    assert!(matches!(step, CredentialStep::Replace { .. }), "{step:?}");
}

#[test]
fn live_sessions_defer_a_rotation_until_the_bound() {
    let due = at(1_000_000 + 2 * 3600);
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[]));
    let login = Login::try_from("clerk_b").unwrap();
    seen.catalog.sessions.push(Session {
        login,
        pid: 7,
        client: Some("10.0.0.9".to_owned()),
        since: None,
    });
    let mut wishes = wishes(Mode::Adopt);
    assert!(matches!(
        credential(&wishes, &seen, due),
        CredentialStep::Defer { .. }
    ));
    wishes.timing.max_overlap = Some(Duration::from_mins(5));
    assert!(matches!(
        credential(&wishes, &seen, due),
        CredentialStep::Defer { .. }
    ));
    seen.recorded.deferred_since = Some(at(1_000_000 + 2 * 3600 - 300));
    let step = credential(&wishes, &seen, due);
    assert!(
        matches!(
            step,
            CredentialStep::Replace {
                ends_sessions: true,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn an_unfinished_attempt_on_the_same_secret_is_fenced() {
    let mark = crate::mark::Mark::new("shop/orders", "uid-1")
        .attempt("7")
        .to_string();
    let tried = Role {
        comment: Some(mark),
        ..Role::default()
    };
    let seen = observed(Some(stored("clerk_a")), catalog(&[("clerk_b", tried)]));
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_000 + 2 * 3600));
    assert!(
        matches!(
            step,
            CredentialStep::Replace {
                needs_fence: true,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn row_20_a_refused_credential_is_restored_or_replaced_by_who_changed_it() {
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[]));
    seen.published = Proof::Refused;
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_060));
    assert!(matches!(step, CredentialStep::Restore { .. }), "{step:?}");
    seen.recorded.secret_resource_version = Some("6".to_owned());
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_060));
    assert!(
        matches!(
            step,
            CredentialStep::Replace {
                cause: Cause::SecretEdited,
                ..
            }
        ),
        "{step:?}"
    );
    seen.secret = None;
    seen.login = None;
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_060));
    assert!(
        matches!(
            step,
            CredentialStep::Replace {
                cause: Cause::SecretDeleted,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn a_shorter_overlap_retires_the_previous_login_when_it_is_over_and_unused() {
    let usable = Role {
        can_login: true,
        ..Role::default()
    };
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[("clerk_b", usable)]));
    let mut wishes = wishes(Mode::Adopt);
    assert_eq!(
        retirement(&wishes, &seen, at(1_003_000)),
        Retirement::default()
    );
    wishes.timing.overlap = Some(Duration::from_mins(10));
    let early = retirement(&wishes, &seen, at(1_000_060));
    assert_eq!((early.steps.len(), early.next), (0, Some(at(1_000_600))));
    let late = retirement(&wishes, &seen, at(1_000_600));
    assert!(
        matches!(late.steps[..], [ServerStep::Retire { .. }]),
        "{late:?}"
    );
    let login = Login::try_from("clerk_b").unwrap();
    seen.catalog.sessions.push(Session {
        login,
        pid: 7,
        client: None,
        since: None,
    });
    assert!(retirement(&wishes, &seen, at(1_000_600)).is_waiting);
}

#[test]
fn a_login_that_another_controller_may_still_publish_is_not_retired() {
    let mut wishes = wishes(Mode::Adopt);
    wishes.timing.overlap = Some(Duration::from_mins(10));
    let is_retired = |base: &str| {
        let mark = Mark::new("shop/orders", "uid-1").attempt(base);
        let tried = Role {
            can_login: true,
            comment: Some(mark.to_string()),
            ..Role::default()
        };
        let seen = observed(Some(stored("clerk_a")), catalog(&[("clerk_b", tried)]));
        !retirement(&wishes, &seen, at(1_000_600)).steps.is_empty()
    };
    assert!(!is_retired("7"), "the Secret has the attempt's version");
    assert!(is_retired("6"), "the Secret has moved on");
}

#[test]
fn extensions_are_installed_where_available_and_missed_only_when_listed() {
    let found = Contents {
        extensions: BTreeMap::from([
            extension("citext", [false, true, true]),
            extension("hstore", [true, true, true]),
            extension("postgis", [false, false, false]),
        ]),
        ..Contents::default()
    };
    let mut wishes = wishes(Mode::Create);
    wishes.extensions = ["citext", "hstore", "postgis"].map(str::to_owned).to_vec();
    let plan = contents(&wishes, &found);
    assert_eq!((plan.steps.len(), plan.missing_extensions.len()), (1, 0));
    wishes.are_extensions_explicit = true;
    assert_eq!(contents(&wishes, &found).missing_extensions, ["postgis"]);
}

#[test]
fn row_28_a_superusers_power_makes_only_what_the_servers_operator_permits() {
    let mut wishes = wishes(Mode::Create);
    wishes.extensions = ["citext", "pg_cron"].map(str::to_owned).to_vec();
    wishes.are_extensions_explicit = true;
    let found = Contents {
        extensions: BTreeMap::from([
            extension("citext", [false, true, true]),
            extension("pg_cron", [false, true, false]),
        ]),
        ..Contents::default()
    };
    let missing = |permitted: Option<&[&str]>| {
        let permitted = permitted.map(|names| names.iter().map(ToString::to_string).collect());
        let wishes = Wishes {
            permitted_extensions: permitted,
            ..wishes.clone()
        };
        contents(&wishes, &found).missing_extensions
    };
    assert_eq!(missing(Some(&[])), ["pg_cron"]);
    assert_eq!(missing(Some(&["pg_cron"])), [""; 0]);
    assert_eq!(missing(None), [""; 0], "the admin is the tenant's own");
}

fn extension(name: &str, facts: [bool; 3]) -> (String, Extension) {
    let [is_installed, can_install, is_trusted] = facts;
    let extension = Extension {
        is_installed,
        can_install,
        is_trusted,
    };
    (name.to_owned(), extension)
}

#[test]
fn row_44_deletion_removes_what_the_claim_made_and_nothing_else() {
    let wishes = wishes(Mode::Create);
    let mut server = catalog(&[]);
    let first = structure(&wishes, &database(), &observed(None, server.clone())).unwrap();
    apply(&mut server, &first);
    let steps = farewell(&wishes, &database(), &server);
    assert!(matches!(
        steps[..],
        [
            ServerStep::DropDatabase { .. },
            ServerStep::DropLogin { .. },
            ServerStep::DropLogin { .. },
            ServerStep::DropOwner { .. },
        ]
    ));
    let adopting = Wishes {
        mode: Mode::Adopt,
        ..wishes
    };
    let mut theirs = catalog(&[("clerk", Role::default())]);
    let first = structure(&adopting, &database(), &observed(None, theirs.clone())).unwrap();
    apply(&mut theirs, &first);
    let steps = farewell(&adopting, &database(), &theirs);
    assert!(
        steps
            .iter()
            .all(|step| matches!(step, ServerStep::DropLogin { .. })),
        "{steps:?}"
    );
}

#[test]
fn row_44_a_deletion_that_wakes_up_late_takes_nothing_from_the_claim_made_again() {
    let first = wishes(Mode::Create);
    let mut again = first.clone();
    again.claim.uid = "uid-2".to_owned();
    let mut server = catalog(&[]);
    for wishes in [&first, &again] {
        let steps = structure(wishes, &database(), &observed(None, server.clone())).unwrap();
        apply(&mut server, &steps);
    }
    assert_eq!(farewell(&first, &database(), &server), []);
    assert_eq!(farewell(&again, &database(), &server).len(), 4);
}

#[test]
fn a_claim_made_again_remembers_the_attempts_of_its_earlier_life() {
    let mut again = wishes(Mode::Adopt);
    let attempt = again.claim.mark().attempt("17").to_string();
    again.claim.uid = "uid-2".to_owned();
    let role = Role {
        comment: Some(attempt),
        ..Role::default()
    };
    let seen = observed(None, catalog(&[("clerk_b", role)]));
    let steps = structure(&again, &database(), &seen).unwrap();
    let marks_again = |step: &ServerStep| {
        matches!(step, ServerStep::MarkLogin { mark, .. }
            if mark.attempt.as_deref() == Some("17") && mark.uid == "uid-2")
    };
    assert!(steps.iter().any(marks_again), "{steps:?}");
}

#[test]
fn row_10_a_claim_never_moves_to_an_empty_database() {
    let wishes = wishes(Mode::Create);
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[]));
    seen.recorded.database = Some("ordersdb".to_owned());
    let err = structure(&wishes, &database(), &seen).unwrap_err();
    assert!(matches!(err, Refusal::DatabaseGone { .. }), "{err}");
}

#[test]
fn a_lost_password_is_restored_while_a_rotation_waits() {
    let mut seen = observed(Some(stored("clerk_a")), catalog(&[]));
    let login = Login::try_from("clerk_b").unwrap();
    seen.catalog.sessions.push(Session {
        login,
        pid: 7,
        client: None,
        since: None,
    });
    seen.published = Proof::Refused;
    let step = credential(&wishes(Mode::Adopt), &seen, at(1_000_000 + 2 * 3600));
    assert!(matches!(step, CredentialStep::Restore { .. }), "{step:?}");
}

#[test]
fn logins_of_others_are_never_retired() {
    let foreign = Role {
        can_login: true,
        comment: Some(crate::mark::Mark::new("shop/billing", "uid-9").to_string()),
        ..Role::default()
    };
    let seen = observed(Some(stored("clerk_a")), catalog(&[("teller_a", foreign)]));
    let former_roles = vec![RoleName::try_from("teller").unwrap()];
    let wishes = Wishes {
        former_roles,
        ..wishes(Mode::Adopt)
    };
    assert_eq!(
        retirement(&wishes, &seen, at(1_900_000)),
        Retirement::default()
    );
}
