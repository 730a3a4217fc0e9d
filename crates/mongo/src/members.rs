//! Which members a server has that clients read from: each must know a login before it is
//! published, and each knows only its own connections.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};

use crate::{connect::Connection, error::Kind};

/// What a server is made of, as its primary says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Members {
    /// No replica set, or a router in front of several: what was connected to is all there is.
    Single,
    /// `host:port` of each data-bearing member that clients can find.
    Set(Vec<String>),
}

impl Members {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::Single => &[],
            Self::Set(all) => all,
        }
    }
}

pub(crate) async fn of(connection: &Connection, limit: Duration) -> Result<Members, Kind> {
    let hello = hello(connection, limit).await?;
    Ok(read(&hello))
}

pub(crate) async fn hello(connection: &Connection, limit: Duration) -> Result<Document, Kind> {
    connection.run("admin", doc! { "hello": 1 }, limit).await
}

/// Whether a member gives data to clients: one that only starts, or recovers, asks nobody in.
pub(crate) fn serves(hello: &Document) -> bool {
    ["isWritablePrimary", "secondary"]
        .iter()
        .any(|field| hello.get_bool(field).unwrap_or_default())
}

/// Hidden members and arbiters are in neither list (manual, command `hello`).
fn read(hello: &Document) -> Members {
    if hello.get_str("setName").is_err() {
        return Members::Single;
    }
    let lists = ["hosts", "passives"].into_iter();
    let all = lists.filter_map(|field| hello.get_array(field).ok());
    let all = all.flatten().filter_map(Bson::as_str).map(str::to_owned);
    Members::Set(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arbiters_bear_no_data() {
        let hello = doc! {
            "setName": "rs0", "hosts": ["a:1", "b:2"], "passives": ["c:3"], "arbiters": ["d:4"],
        };
        assert_eq!(read(&hello).all(), ["a:1", "b:2", "c:3"]);
        assert_eq!(read(&doc! { "msg": "isdbgrid" }), Members::Single);
    }
}
