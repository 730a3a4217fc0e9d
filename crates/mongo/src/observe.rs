//! What a server says about one claim's logins and databases.

mod connections;

use std::collections::BTreeMap;

use engine::{
    catalog::{Admin, Catalog, Database, DatabaseRole, Feature, Question, Role},
    dsn::LOGINS_DATABASE,
    names::{DatabaseName, Login},
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    error::{Error, Kind},
    lease::LOCKS,
    mark::{self, State, UNFINISHED},
    session::Session,
    users,
};

impl Session {
    /// Asks for everything that a decision about a claim needs from its server.
    pub async fn observe(&mut self, question: &Question) -> Result<Catalog, Error> {
        let outcome = self.catalog(question).await;
        outcome
            .map_err(|kind| self.error(kind, format!("observing database {}", question.database)))
    }

    async fn catalog(&self, question: &Question) -> Result<Catalog, Kind> {
        let Question {
            roles,
            logins,
            database,
            others,
            copies,
        } = question;
        let names = roles.iter().map(String::as_str);
        let names: Vec<_> = names.chain(logins.iter().map(Login::as_str)).collect();
        let databases: Vec<_> = std::iter::once(database).chain(others).cloned().collect();
        let databases = self.databases(&databases).await?;
        let admin = self.admin();
        let mut defined = self.logins(&names, copies).await?;
        Ok(Catalog {
            version: self.version().await?,
            admin: Admin {
                name: admin.name.clone(),
                is_superuser: admin.is_root,
                // A right that is missing shows when it is used; the server then names it.
                can_create_roles: true,
                can_create_databases: true,
                has_replication: false,
                bypasses_row_security: false,
            },
            roles: defined.remove(self.published_in()).unwrap_or_default(),
            copies: defined,
            memberships: Vec::new(),
            database: databases.get(database).cloned(),
            databases,
            sessions: self.connections_of(logins).await?,
            has_rds_replication: false,
            has_rds_superuser: false,
            grants_rds_superuser: false,
            unsupported: self.rack().lacks(),
        })
    }

    /// 60005 for 6.0.5.
    async fn version(&self) -> Result<u32, Kind> {
        let answer = self.ask("admin", doc! { "buildInfo": 1 }).await?;
        let parts = answer.get_array("versionArray").ok().into_iter().flatten();
        let parts: Vec<_> = parts.filter_map(Bson::as_i32).collect();
        let version = match parts.as_slice() {
            [major, minor, patch, ..] => major * 10_000 + minor * 100 + patch,
            _ => return Err(Kind::Answer("buildInfo says no version".to_owned())),
        };
        u32::try_from(version).map_err(|err| Kind::Answer(err.to_string()))
    }

    /// Those of the logins that exist, by database: where they are published, and in `copies`.
    async fn logins(
        &self,
        names: &[&str],
        copies: &[String],
    ) -> Result<BTreeMap<String, BTreeMap<String, Role>>, Kind> {
        let mut all = BTreeMap::<String, BTreeMap<String, Role>>::new();
        if names.is_empty() {
            return Ok(all);
        }
        let copies = copies.iter().map(String::as_str);
        let databases: Vec<_> = std::iter::once(self.published_in()).chain(copies).collect();
        let info = users::info(names, &databases);
        let answer = self.ask(LOGINS_DATABASE, info).await?;
        let users = answer.get_array("users").ok().into_iter().flatten();
        let users: Vec<_> = users.filter_map(Bson::as_document).collect();
        let beside = self.marks_beside(&users).await?;
        for user in users {
            let (Ok(name), Ok(database)) = (user.get_str("user"), user.get_str("db")) else {
                continue;
            };
            let place = mark::place(name, database);
            let all = all.entry(database.to_owned()).or_default();
            all.insert(name.to_owned(), login(user, beside.get(&place.to_string())));
        }
        Ok(all)
    }

    /// The marks of logins that carry none themselves, by their places. They are there only on a
    /// service that keeps no `customData`.
    async fn marks_beside(&self, users: &[&Document]) -> Result<BTreeMap<String, Document>, Kind> {
        let is_bare = |user: &&&Document| user.get_document("customData").is_err();
        let places: Vec<_> = users
            .iter()
            .filter(is_bare)
            .filter_map(|user| {
                Some(mark::place(
                    user.get_str("user").ok()?,
                    user.get_str("db").ok()?,
                ))
            })
            .collect();
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answer = self.ask(LOGINS_DATABASE, find_locks(places)).await?;
        let found = first_batch(&answer).iter().filter_map(Bson::as_document);
        let found = found.filter_map(|found| {
            let place = found.get_document("_id").ok()?;
            Some((place.to_string(), found.clone()))
        });
        let found: BTreeMap<_, _> = found.collect();
        if !found.is_empty() {
            self.rack().note_lack(Feature::CustomData);
        }
        Ok(found)
    }

    /// The mark of one login as it is now: `None` if it has none, or is not there.
    pub(crate) async fn comment_of(&self, login: &Login) -> Result<Option<String>, Kind> {
        let name = login.as_str();
        let mut found = self.logins(&[name], &[]).await?;
        let found = found.remove(self.published_in());
        Ok(found.and_then(|mut found| found.remove(name)?.comment))
    }

    /// Those that hold data or are reserved.
    async fn databases(
        &self,
        names: &[DatabaseName],
    ) -> Result<BTreeMap<DatabaseName, Database>, Kind> {
        let wanted: Vec<_> = names.iter().map(DatabaseName::as_str).collect();
        let list = doc! {
            "listDatabases": 1,
            "nameOnly": true,
            "filter": { "name": { "$in": &wanted } },
        };
        let existing = self.ask("admin", list).await?;
        let existing = texts(&existing, "databases", "name");
        let ids = names.iter().map(reservation).collect();
        let reserved = self.ask(LOGINS_DATABASE, find_locks(ids)).await?;
        let reserved = first_batch(&reserved);
        let mark_of = |name: &DatabaseName| {
            let id = Bson::from(reservation(name));
            let mut all = reserved.iter().filter_map(Bson::as_document);
            all.find(|document| document.get("_id") == Some(&id))
                .and_then(mark::parse)
        };
        let found = names.iter().filter_map(|name| {
            let comment = mark_of(name).map(|mark| mark.to_string());
            let is_there = comment.is_some() || existing.iter().any(|other| other == name.as_str());
            is_there.then(|| {
                let database = Database {
                    comment,
                    ..Database::default()
                };
                (name.clone(), database)
            })
        });
        Ok(found.collect())
    }
}

/// The id of the document that reserves a database's name for a claim.
pub(crate) fn reservation(database: &DatabaseName) -> Document {
    doc! { "database": database.as_str() }
}

/// Documents beside the locks, by their ids.
fn find_locks(ids: Vec<Document>) -> Document {
    doc! {
        "find": LOCKS,
        "filter": { "_id": { "$in": ids } },
        "readConcern": { "level": "majority" },
    }
}

/// One that may have been made before its document was finished is ours only if it can do nothing.
fn login(user: &Document, beside: Option<&Document>) -> Role {
    let roles = user.get_array("roles").ok().into_iter().flatten();
    let roles = roles.filter_map(Bson::as_document).filter_map(|role| {
        let role = DatabaseRole {
            database: role.get_str("db").ok()?.to_owned(),
            role: role.get_str("role").ok()?.to_owned(),
        };
        Some(role.to_string())
    });
    let member_of: Vec<_> = roles.collect();
    let beside = beside
        .filter(|mark| member_of.is_empty() || !mark.get_bool(UNFINISHED).unwrap_or_default());
    let data = user.get_document("customData").ok().or(beside);
    Role {
        can_login: data.is_none_or(|data| mark::state(data) == State::Usable),
        member_of,
        comment: data.and_then(mark::parse).map(|mark| mark.to_string()),
        ..Role::default()
    }
}

fn texts(answer: &Document, list: &str, field: &str) -> Vec<String> {
    let all = answer.get_array(list).ok().into_iter().flatten();
    let all = all.filter_map(Bson::as_document);
    all.filter_map(|one| Some(one.get_str(field).ok()?.to_owned()))
        .collect()
}

/// All that a command with a cursor answers: none of ours has more than one batch.
fn first_batch(answer: &Document) -> &[Bson] {
    let cursor = answer.get_document("cursor").ok();
    let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
    batch.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use engine::{mark::Mark, names::Login};

    use super::*;

    /// On a service without `customData`, where the document of a login is written before it.
    #[test]
    fn a_login_of_somebody_else_is_not_ours_by_an_unfinished_document() {
        let name = Login::try_from("clerk_a").unwrap();
        let mut beside = mark::custom_data(&name, &Mark::new("shop/shop", "0f3a"), State::Closed);
        let powerful = doc! { "user": "clerk_a", "roles": [{ "role": "read", "db": "orders" }] };
        let powerless = doc! { "user": "clerk_a", "roles": [] };
        let is_ours =
            |user: &Document, beside: &Document| login(user, Some(beside)).mark().is_some();
        assert!(is_ours(&powerful, &beside));
        beside.insert(UNFINISHED, true);
        assert!(!is_ours(&powerful, &beside));
        assert!(is_ours(&powerless, &beside));
    }
}
