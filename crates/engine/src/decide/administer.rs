//! The logins with which the credential of a server's admin alternates. The admin itself is what an
//! owner role is to a claim: both logins act as it, so that all it made stays its own.

use super::{Refusal, structure::login_steps};
use crate::{
    address::Engine,
    catalog::{Admin, Catalog, Role},
    names::Login,
    observed::{Observed, Proof},
    step::ServerStep,
    wishes::Wishes,
};

/// From here on whoever makes a role is a member of it, and so can't let it act as himself (release
/// notes of PostgreSQL 16).
const MAKERS_ARE_MEMBERS: u32 = 160_000;

/// The steps that make both logins.
pub(super) fn structure(wishes: &Wishes, observed: &Observed) -> Result<Vec<ServerStep>, Refusal> {
    if wishes.engine == Engine::Mongo {
        return Err(Refusal::AdminOfMongo);
    }
    let Catalog { version, admin, .. } = &observed.catalog;
    check_admin(admin)?;
    if *version >= MAKERS_ARE_MEMBERS {
        return Err(Refusal::NoAdminLogins);
    }
    let mut steps = Vec::new();
    for login in wishes.logins().both() {
        check_keeper(wishes, login, observed)?;
        let own = login_steps(wishes, login, &observed.catalog, false);
        steps.extend(own.map_err(of_admin)?);
    }
    Ok(steps)
}

/// Whether both logins are as a superuser must have made them, for an admin that can't.
pub fn lent_logins(wishes: &Wishes, observed: &Observed) -> Result<(), Refusal> {
    check_admin(&observed.catalog.admin)?;
    for login in wishes.logins().both() {
        check_keeper(wishes, login, observed)?;
        let role = observed.catalog.roles.get(login.as_str());
        let admin = wishes.role.as_str();
        let acts_as_admin = role.is_some_and(|role| {
            role.session_role.as_deref() == Some(admin)
                && role.member_of.iter().any(|name| name == admin)
        });
        if !acts_as_admin {
            return Err(Refusal::NoAdminLogins);
        }
    }
    Ok(())
}

/// A login is let into a database by its own power, before it acts as the admin.
fn check_admin(admin: &Admin) -> Result<(), Refusal> {
    if admin.is_superuser {
        return Err(Refusal::SuperuserAdmin {
            admin: admin.name.clone(),
        });
    }
    Ok(())
}

/// Refuses a login that another DatabaseServer keeps, of this cluster or of another one, which may
/// have the same name. Who holds the credential of a server that was made again goes on with it.
fn check_keeper(wishes: &Wishes, login: &Login, observed: &Observed) -> Result<(), Refusal> {
    let pair = wishes.logins();
    let published = observed.login.as_ref();
    let holds = observed.published == Proof::Works
        && published.is_some_and(|login| pair.contains(login.as_str()));
    let mark = observed
        .catalog
        .roles
        .get(login.as_str())
        .and_then(Role::mark);
    match mark {
        Some(mark) if mark.uid != wishes.claim.uid && !holds => Err(Refusal::AdminLogin {
            role: login.to_string(),
            keeper: format!("{} ({})", mark.claim, mark.uid),
        }),
        _ => Ok(()),
    }
}

/// The same in words for who runs the server.
fn of_admin(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::ForeignRole { role, claim } => Refusal::AdminLogin {
            role,
            keeper: claim,
        },
        Refusal::UnmarkedRole { role } => Refusal::UnmarkedAdminLogin { role },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use api::{config::Config, server::DatabaseServer};

    use super::*;
    use crate::{
        catalog::Role,
        decide::{
            structure,
            tests::setup::{catalog, database, observed},
        },
        mark::Mark,
        names::RoleName,
    };

    fn wishes(engine: &str, namespace: &str) -> Wishes {
        let mut server = DatabaseServer::new("main", api::server::DatabaseServerSpec::default());
        server.metadata.uid = Some("u".to_owned());
        server.spec.engine = engine.to_owned();
        let role = RoleName::try_from("dbadmin").unwrap();
        Wishes::of_admin(&server, role, namespace, &Config::default()).unwrap()
    }

    fn server(roles: &[(&str, Role)]) -> Observed {
        let mut catalog = catalog(roles);
        catalog.version = 150_000;
        observed(None, catalog)
    }

    fn marked(mark: Option<Mark>) -> Role {
        Role {
            comment: mark.map(|mark| mark.to_string()),
            member_of: vec!["dbadmin".to_owned()],
            session_role: Some("dbadmin".to_owned()),
            ..Role::default()
        }
    }

    #[test]
    fn both_logins_act_as_the_admin_and_nothing_is_done_twice() {
        let wishes = wishes("postgres", "ops");
        let before = server(&[]);
        let steps = structure(&wishes, &database(), &before).unwrap();
        let makes = |step: &ServerStep| matches!(step, ServerStep::CreateLogin { .. });
        assert_eq!(steps.iter().filter(|step| makes(step)).count(), 2);
        let mine = marked(Some(wishes.claim.mark()));
        let mut there = server(&[("dbadmin_a", mine.clone()), ("dbadmin_b", mine)]);
        assert_eq!(structure(&wishes, &database(), &there), Ok(vec![]));
        there.catalog.version = 160_000;
        let refused = structure(&wishes, &database(), &there);
        assert_eq!(refused, Err(Refusal::NoAdminLogins));
        assert_eq!(lent_logins(&wishes, &there), Ok(()));
        assert_eq!(lent_logins(&wishes, &before), Err(Refusal::NoAdminLogins));
        there.catalog.admin.is_superuser = true;
        let refused = structure(&wishes, &database(), &there);
        for refused in [refused.map(drop), lent_logins(&wishes, &there)] {
            assert!(matches!(refused, Err(Refusal::SuperuserAdmin { .. })));
        }
    }

    #[test]
    fn logins_of_another_controller_are_left_alone_and_it_is_named() {
        let (ours, theirs) = (wishes("postgres", "ops"), wishes("postgres", "blue"));
        let refusal = |mark| {
            structure(&ours, &database(), &server(&[("dbadmin_b", marked(mark))])).unwrap_err()
        };
        let keeper = "databaseserver:blue/main (u@blue)".to_owned();
        let role = "dbadmin_b".to_owned();
        assert_eq!(
            refusal(Some(theirs.claim.mark())),
            Refusal::AdminLogin {
                role: role.clone(),
                keeper
            }
        );
        assert_eq!(refusal(None), Refusal::UnmarkedAdminLogin { role });
    }

    #[test]
    fn an_admin_of_mongodb_is_left_as_it_is() {
        let refused = structure(&wishes("mongodb", "ops"), &database(), &server(&[]));
        assert_eq!(refused, Err(Refusal::AdminOfMongo));
    }
}
