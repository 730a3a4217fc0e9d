//! The commands about logins. Two of them carry a password, for the server makes the verifier
//! itself: they go over TLS unless the connection string says otherwise, and mongod keeps
//! passwords out of its log. One of the few places where a password is a plain text.

use engine::{
    catalog::DatabaseRole,
    mark::Mark,
    names::Login,
    password::{Generator, PasswordSource, Policy},
};
use mongodb::bson::{Bson, Document, doc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    error::Kind,
    mark::{State, custom_data},
};

/// A login that nobody can use yet: with a password that nobody knows, and no role.
pub(crate) fn create(login: &Login, mark: &Mark, mechanisms: &[String]) -> Result<Document, Kind> {
    let password = forgotten()?;
    Ok(doc! {
        "createUser": login.as_str(),
        "pwd": password.expose_secret(),
        "roles": [],
        "mechanisms": mechanisms,
        "customData": custom_data(login, mark, State::Closed),
    })
}

/// Password and mark in one command, so that neither is there without the other.
pub(crate) fn set_password(
    login: &Login,
    password: &SecretString,
    mark: &Mark,
    mechanisms: &[String],
) -> Document {
    doc! {
        "updateUser": login.as_str(),
        "pwd": password.expose_secret(),
        "mechanisms": mechanisms,
        "customData": custom_data(login, mark, State::Usable),
    }
}

/// Shuts a login: connections that are open stay.
pub(crate) fn close(
    login: &Login,
    mark: Option<&Mark>,
    mechanisms: &[String],
) -> Result<Document, Kind> {
    let password = forgotten()?;
    let mut command = doc! {
        "updateUser": login.as_str(),
        "pwd": password.expose_secret(),
        "mechanisms": mechanisms,
    };
    if let Some(mark) = mark {
        command.insert("customData", custom_data(login, mark, State::Closed));
    }
    Ok(command)
}

/// Replaces all of `customData` and leaves the password alone.
pub(crate) fn mark(login: &Login, mark: &Mark, state: State) -> Document {
    doc! { "updateUser": login.as_str(), "customData": custom_data(login, mark, state) }
}

pub(crate) fn grant(login: &Login, roles: &[DatabaseRole]) -> Document {
    doc! { "grantRolesToUser": login.as_str(), "roles": list(roles) }
}

pub(crate) fn revoke(login: &Login, roles: &[DatabaseRole]) -> Document {
    doc! { "revokeRolesFromUser": login.as_str(), "roles": list(roles) }
}

/// Ends what the login has under way: its transactions and cursors, not its connections.
pub(crate) fn kill_sessions(login: &Login, database: &str) -> Document {
    doc! { "killAllSessions": [{ "user": login.as_str(), "db": database }] }
}

pub(crate) fn drop_login(login: &Login) -> Document {
    doc! { "dropUser": login.as_str() }
}

/// What is known of these logins in these databases, without their verifiers.
pub(crate) fn info(logins: &[&str], databases: &[&str]) -> Document {
    let of = |database: &&str| {
        let database = (*database).to_owned();
        let one = move |login: &&str| doc! { "user": *login, "db": &database };
        logins.iter().map(one)
    };
    let all: Vec<_> = databases.iter().flat_map(of).collect();
    doc! { "usersInfo": all }
}

fn list(roles: &[DatabaseRole]) -> Vec<Bson> {
    let one = |role: &DatabaseRole| doc! { "role": &role.role, "db": &role.database };
    roles.iter().map(|role| Bson::from(one(role))).collect()
}

fn forgotten() -> Result<SecretString, Kind> {
    let password = Generator.fresh(Policy::Alphanumeric);
    password.map_err(|_| Kind::Answer("no password was drawn".to_owned()))
}
