//! Commands about a login, and what stands in for fields that a service does not take: a choice of
//! mechanisms is left out, and the mark is a document beside the locks.
//! What a service does not take is learned from its refusal; the documents remember it.

use engine::{catalog::Feature, dsn::LOGINS_DATABASE, names::Login};
use mongodb::bson::{Document, doc};

use crate::{
    error::Kind,
    lease::{LOCKS, Locked},
    mark::{self, State, UNFINISHED},
    users,
};

impl Locked {
    /// Creates or updates a login in one database.
    pub(super) async fn define(
        &mut self,
        database: &str,
        login: &Login,
        command: &Document,
    ) -> Result<(), Kind> {
        loop {
            let mut plain = command.clone();
            let mut mark = None;
            for feature in self.rack().lacks() {
                let left_out = plain.remove(<&str>::from(feature));
                if feature == Feature::CustomData {
                    mark = left_out.and_then(|data| data.as_document().cloned());
                }
            }
            let outcome = match mark {
                None => self.change(database, plain).await.map(drop),
                Some(mark) => self.define_beside(database, login, plain, mark).await,
            };
            match outcome {
                Err(Kind::NoField(feature)) if self.rack().note_lack(feature) => {}
                outcome => return outcome,
            }
        }
    }

    /// With the mark in a document, which is written before the login is usable and after it is
    /// shut, so that a crash in between leaves nothing usable that says that it is not.
    async fn define_beside(
        &mut self,
        database: &str,
        login: &Login,
        command: Document,
        mark: Document,
    ) -> Result<(), Kind> {
        if command.contains_key("createUser") {
            // Somebody else's login of that name must not become ours by this document.
            let mut unfinished = mark.clone();
            unfinished.insert(UNFINISHED, true);
            self.write_mark(database, login, unfinished).await?;
            self.change(database, command).await?;
            return self.write_mark(database, login, mark).await;
        }
        let has_more = command.len() > 1;
        let is_last = mark::state(&mark) == State::Closed;
        if !is_last {
            self.write_mark(database, login, mark.clone()).await?;
        }
        if has_more {
            self.change(database, command).await?;
        }
        if is_last {
            self.write_mark(database, login, mark).await?;
        }
        Ok(())
    }

    async fn write_mark(
        &mut self,
        database: &str,
        login: &Login,
        mark: Document,
    ) -> Result<(), Kind> {
        let query = doc! { "_id": mark::place(login.as_str(), database) };
        let update = doc! { "q": query, "u": mark, "upsert": true };
        let command = doc! { "update": LOCKS, "updates": [update] };
        self.change(LOGINS_DATABASE, command).await.map(drop)
    }

    pub(super) async fn drop_login(&mut self, login: &Login, database: &str) -> Result<(), Kind> {
        // Killing takes no write concern: what it ends is gone with the login anyway.
        let kill = users::kill_sessions(login, database);
        let outcome = match self.ask("admin", kill).await {
            Ok(_) | Err(Kind::Unsupported(_)) => {
                self.change(database, users::drop_login(login)).await
            }
            Err(kind) => Err(kind),
        };
        match outcome {
            // It was gone already.
            Ok(_) | Err(Kind::LoginGone) => {}
            Err(kind) => return Err(kind),
        }
        if self.rack().lacks().contains(&Feature::CustomData) {
            let query = doc! { "_id": mark::place(login.as_str(), database) };
            let delete = doc! { "delete": LOCKS, "deletes": [{ "q": query, "limit": 1 }] };
            self.change(LOGINS_DATABASE, delete).await?;
        }
        Ok(())
    }
}
