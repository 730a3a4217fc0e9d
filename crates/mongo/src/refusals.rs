//! Refused logins out of the servers' logs: each member has its own, the newest 1024 lines of which
//! stand in its memory.

use engine::tripwire::{Blind, Reading, mongod};
use futures::future::join_all;
use mongodb::bson::{Bson, Document, doc};

use crate::{
    error::{Error, Kind},
    session::Session,
};

/// What the log of a server that has no members is called.
const ALONE: &str = "server";

impl Session {
    /// Reads on from a position that this returned; without one begins at the end of each log. A
    /// member that is away is read when it is back.
    pub async fn refused_logins(
        &mut self,
        after: Option<&str>,
    ) -> Result<Result<Reading, Blind>, Error> {
        let mut read = mongod::Read::parse(after.unwrap_or_default());
        let mut attempts = Vec::new();
        let mut refusal = None;
        let mut is_read = false;
        for (member, answer) in self.logs().await {
            match answer {
                Ok(answer) => {
                    is_read = true;
                    attempts.extend(read.take(&member, lines(&answer)));
                }
                Err(kind) => refusal = Some(kind),
            }
        }
        match refusal {
            Some(kind) if !is_read => blind(&kind)
                .map(Err)
                .ok_or_else(|| self.error(kind, "reading refused logins in the log")),
            _ => Ok(Ok(Reading {
                position: read.to_string(),
                is_behind: false,
                attempts,
            })),
        }
    }

    async fn logs(&self) -> Vec<(String, Result<Document, Kind>)> {
        let question = doc! { "getLog": "global" };
        let members = self.members().all();
        if members.is_empty() {
            let answer = self.ask("admin", question).await;
            return vec![(ALONE.to_owned(), answer)];
        }
        let ask = async |member: &String| {
            let answer = self.ask_member(member, "admin", question.clone()).await;
            (member.clone(), answer)
        };
        join_all(members.iter().map(ask)).await
    }
}

fn lines(answer: &Document) -> impl Iterator<Item = &str> {
    let lines = answer.get_array("log").ok().into_iter().flatten();
    lines.filter_map(Bson::as_str)
}

/// What only somebody else can put right.
fn blind(kind: &Kind) -> Option<Blind> {
    match kind {
        Kind::Forbidden(_) => Some(Blind::NoRight),
        Kind::Unsupported(_) | Kind::Impossible(_) => Some(Blind::NoCommand),
        _ => None,
    }
}
