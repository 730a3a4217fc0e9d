//! What a server says about one claim's logins and databases.

mod connections;

use std::collections::BTreeMap;

use engine::{
    catalog::{Admin, Catalog, Database, DatabaseRole, Question, Role},
    dsn::LOGINS_DATABASE,
    names::{DatabaseName, Login},
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    error::{Error, Kind},
    lease::LOCKS,
    mark::{self, State},
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
            },
            roles: defined.remove(self.published_in()).unwrap_or_default(),
            copies: defined,
            database: databases.get(database).cloned(),
            databases,
            sessions: self.connections_of(logins).await?,
            has_rds_replication: false,
            has_rds_superuser: false,
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
        for user in users.filter_map(Bson::as_document) {
            if let (Ok(database), Some((name, role))) = (user.get_str("db"), login(user)) {
                all.entry(database.to_owned())
                    .or_default()
                    .insert(name, role);
            }
        }
        Ok(all)
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
        let ids: Vec<_> = names.iter().map(reservation).collect();
        let find = doc! {
            "find": LOCKS,
            "filter": { "_id": { "$in": ids } },
            "readConcern": { "level": "majority" },
        };
        let reserved = self.ask(LOGINS_DATABASE, find).await?;
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
                    owner: String::new(),
                    comment,
                    admin_owns: false,
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

fn login(user: &Document) -> Option<(String, Role)> {
    let roles = user.get_array("roles").ok().into_iter().flatten();
    let roles = roles.filter_map(Bson::as_document).filter_map(|role| {
        let role = DatabaseRole {
            database: role.get_str("db").ok()?.to_owned(),
            role: role.get_str("role").ok()?.to_owned(),
        };
        Some(role.to_string())
    });
    let data = user.get_document("customData").ok();
    let role = Role {
        can_login: data.is_none_or(|data| mark::state(data) == State::Usable),
        member_of: roles.collect(),
        comment: data.and_then(mark::parse).map(|mark| mark.to_string()),
        ..Role::default()
    };
    Some((user.get_str("user").ok()?.to_owned(), role))
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
