//! Live connections of logins. Each member reports only its own, so each is asked; one that does
//! not answer has none that works.
//! An admin without the right `inprog` sees none, and then none is waited for: who lives on one
//! connection for longer than an overlap can lose its way back.

use engine::{catalog, names::Login};
use futures::future::join_all;
use mongodb::bson::{Bson, Document, doc};

use super::first_batch;
use crate::{error::Kind, session::Session};

/// More connections than anybody wants to read of.
const LIMIT: i64 = 1000;

impl Session {
    pub(super) async fn connections_of(
        &self,
        logins: &[Login],
    ) -> Result<Vec<catalog::Session>, Kind> {
        if logins.is_empty() {
            return Ok(Vec::new());
        }
        let members = self.members().all();
        let answers = if members.is_empty() {
            vec![self.ask("admin", self.question(logins)).await]
        } else {
            let ask = |member| self.ask_member(member, "admin", self.question(logins));
            join_all(members.iter().map(String::as_str).map(ask)).await
        };
        let mut all = Vec::new();
        for answer in answers {
            match answer {
                Ok(answer) => all.extend(connections(&answer, logins)),
                Err(Kind::LoggedOut) => return Err(Kind::LoggedOut),
                // Away, or without the right.
                Err(_) => {}
            }
        }
        Ok(all)
    }

    fn question(&self, logins: &[Login]) -> Document {
        let names: Vec<_> = logins.iter().map(Login::as_str).collect();
        let of_a_login = doc! { "user": { "$in": names }, "db": { "$in": self.logins_in() } };
        doc! {
            "aggregate": 1,
            "pipeline": [
                { "$currentOp": { "allUsers": true, "idleConnections": true } },
                { "$match": { "effectiveUsers": { "$elemMatch": of_a_login } } },
                { "$group": {
                    "_id": "$connectionId",
                    "client": { "$first": "$client" },
                    "users": { "$first": "$effectiveUsers" },
                } },
                { "$limit": LIMIT },
            ],
            "cursor": { "batchSize": LIMIT },
        }
    }
}

fn connections(answer: &Document, logins: &[Login]) -> Vec<catalog::Session> {
    let all = first_batch(answer).iter().filter_map(Bson::as_document);
    let read = |connection: &Document| {
        let users = connection.get_array("users").ok()?.iter();
        let mut names = users.filter_map(|user| user.as_document()?.get_str("user").ok());
        let login = names.find_map(|name| logins.iter().find(|login| login.as_str() == name))?;
        let client = connection.get_str("client").ok();
        Some(catalog::Session {
            login: login.clone(),
            pid: number(connection.get("_id")?)?,
            client: client.map(|text| host(text).to_owned()),
            since: None,
        })
    };
    all.filter_map(read).collect()
}

fn number(value: &Bson) -> Option<i32> {
    match value {
        Bson::Int32(number) => Some(*number),
        Bson::Int64(number) => i32::try_from(*number).ok(),
        _ => None,
    }
}

/// `10.0.0.7` of `10.0.0.7:51234`.
fn host(client: &str) -> &str {
    client.rsplit_once(':').map_or(client, |(host, _)| host)
}
