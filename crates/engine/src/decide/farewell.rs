//! The end of a claim under the policy `Delete`: what is the claim's by its marks, and nothing else.

use super::mongo;
use crate::{
    address::Engine,
    catalog::{Catalog, Database, Role},
    names::{DatabaseName, LoginPair},
    step::ServerStep,
    wishes::{Mode, Wishes},
};

/// What to remove, in an order in which nothing that is removed is still needed: the database with
/// all that stands in it, the logins, the owner role. A role that was there before the claim stays.
/// The mark must have this claim's UID: a claim that was made again under the name has marked
/// everything anew, and a deletion that wakes up late must not take that away.
pub fn farewell(wishes: &Wishes, database: &DatabaseName, catalog: &Catalog) -> Vec<ServerStep> {
    if wishes.engine == Engine::Mongo {
        return mongo::farewell(wishes, database, catalog);
    }
    let mine = wishes.claim.mark();
    let mark_of = |name: &str| {
        let mark = catalog.roles.get(name).and_then(Role::mark);
        mark.filter(|mark| mark.uid == mine.uid)
    };
    let role = &wishes.role;
    let owner_mark = mark_of(role.as_str());
    let found = catalog.database.as_ref();
    let made_database = found
        .and_then(Database::mark)
        .is_some_and(|mark| mark.uid == mine.uid)
        && found.is_some_and(|database| {
            database.owner == role.as_str() || database.owner == catalog.admin.name
        });
    let mut steps = Vec::new();
    if wishes.mode == Mode::Create && made_database {
        steps.push(ServerStep::DropDatabase {
            database: database.clone(),
        });
    }
    for pair in std::iter::once(LoginPair::of_role(role)).chain(wishes.former_logins()) {
        for login in [pair.a, pair.b] {
            if mark_of(login.as_str()).is_some() {
                steps.push(ServerStep::DropLogin {
                    login,
                    role: role.clone(),
                });
            }
        }
    }
    if owner_mark.is_some_and(|mark| !mark.adopted) {
        // What the application made in an adopted database is its owner's from now on.
        let heir = found.map(|database| database.owner.clone());
        let heir = heir.filter(|owner| wishes.mode == Mode::Adopt && owner != role.as_str());
        steps.extend(heir.map(|to| ServerStep::HandOver {
            role: role.clone(),
            to,
        }));
        steps.push(ServerStep::DropOwner { role: role.clone() });
    }
    steps
}
