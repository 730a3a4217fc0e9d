//! Carries out the engine's steps on a server. Neighbouring steps go to the server as one message
//! and so as one transaction; `CREATE DATABASE` and `DROP DATABASE` go alone.
//! Judges nothing: what was observed only tells as whom a step must be done.

pub(crate) mod acting;
mod database;
mod powers;
mod repair;

use engine::{
    catalog::Catalog,
    mark::Mark,
    names::{Login, RoleName},
    step::ServerStep,
};

use self::acting::{Acting, Reach};
use crate::{
    error::Error,
    observe::MEMBERSHIP_OPTIONS,
    session::Session,
    sql::{Ident, Keyword, List, Literal, Sql, sql},
};

impl Session {
    /// Does the steps in their order. `catalog` is what this server last answered; a step that it
    /// no longer fits fails with `ErrorClass::Conflict` and changes nothing.
    pub async fn apply(&mut self, steps: &[ServerStep], catalog: &Catalog) -> Result<(), Error> {
        for message in messages(steps, catalog) {
            let Message { titles, statements } = message;
            let outcome = self.run(statements).await;
            outcome.map_err(|kind| self.error(kind, titles.join(", ")))?;
        }
        Ok(())
    }

    /// Gives what `login` owns in this session's database to `role`, and takes away the rights it
    /// was granted here. What it owned in other databases stays.
    pub async fn reassign_owned(
        &mut self,
        login: &Login,
        role: &RoleName,
        catalog: &Catalog,
    ) -> Result<(), Error> {
        let acting = Acting::of(catalog);
        let statements = acting.as_role(
            login.as_str(),
            Reach::Become,
            hand_over(login.as_str(), role.as_str()),
        );
        let outcome = self.run(statements).await;
        outcome.map_err(|kind| {
            let title = format!("giving what {login} owns in {} to {role}", self.database());
            self.error(kind, title)
        })
    }
}

/// Statements of one step that belong together.
enum Piece {
    /// May share a transaction with the neighbours.
    Shared(Vec<Sql>),
    /// A message of its own.
    Alone(Vec<Sql>),
}

#[derive(Default)]
struct Message {
    titles: Vec<String>,
    statements: Vec<Sql>,
}

fn messages(steps: &[ServerStep], catalog: &Catalog) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut shared = Message::default();
    for step in steps {
        for piece in pieces(step, catalog) {
            match piece {
                Piece::Shared(statements) => {
                    let title = step.title();
                    if shared.titles.last() != Some(&title) {
                        shared.titles.push(title);
                    }
                    shared.statements.extend(statements);
                }
                Piece::Alone(statements) => {
                    messages.push(std::mem::take(&mut shared));
                    messages.push(Message {
                        titles: vec![step.title()],
                        statements,
                    });
                }
            }
        }
    }
    messages.push(shared);
    messages.retain(|message| !message.statements.is_empty());
    messages
}

fn pieces(step: &ServerStep, catalog: &Catalog) -> Vec<Piece> {
    match step {
        ServerStep::CreateDatabase { database } => vec![Piece::Alone(vec![sql!(
            "CREATE DATABASE {name}",
            name = Ident(database.as_str())
        )])],
        ServerStep::DropLogin { login, .. } if !catalog.roles.contains_key(login.as_str()) => {
            Vec::new()
        }
        ServerStep::DropDatabase { database } => database::dropping(database, catalog),
        // What closed the door before this must be seen by everybody, or who is sent away walks in
        // again.
        ServerStep::Terminate { login } => vec![Piece::Alone(Acting::of(catalog).as_role(
            login.as_str(),
            Reach::Become,
            vec![ending_sessions(login)],
        ))],
        ServerStep::DropLogin { login, role } => vec![
            Piece::Alone(vec![sql!(
                "ALTER ROLE {name} NOLOGIN",
                name = Ident(login.as_str())
            )]),
            Piece::Shared(dropping_login(login, role, catalog)),
        ],
        step => vec![Piece::Shared(shared(step, catalog))],
    }
}

fn shared(step: &ServerStep, catalog: &Catalog) -> Vec<Sql> {
    match step {
        ServerStep::CreateOwner { role, mark } => {
            let name = Ident(role.as_str());
            let create = sql!("CREATE ROLE {name} NOLOGIN", name = name);
            vec![create, marking(role.as_str(), mark)]
        }
        // Who owns it is said by the steps that follow.
        ServerStep::CreateLogin {
            login,
            role: _,
            mark,
        } => {
            let name = Ident(login.as_str());
            let create = sql!("CREATE ROLE {name} NOLOGIN", name = name);
            vec![create, marking(login.as_str(), mark)]
        }
        ServerStep::JoinOwner { login, role } => {
            vec![granting(role.as_str(), login.as_str(), catalog)]
        }
        ServerStep::AssumeOwner { login, role } => vec![assuming(login.as_str(), role)],
        ServerStep::CreateSchemaRole { .. }
        | ServerStep::MarkSchemaRole { .. }
        | ServerStep::JoinSchemaRole { .. }
        | ServerStep::SearchPath { .. }
        | ServerStep::DropSchemaRole { .. } => for_role_claims(step, catalog),
        ServerStep::Alter { .. }
        | ServerStep::LeaveRole { .. }
        | ServerStep::ReturnDatabase { .. }
        | ServerStep::CloseDatabase { .. } => repair::statements(step, catalog),
        ServerStep::RenameOwner { from, to } => renaming(from, to, catalog),
        ServerStep::MarkOwner { role, mark } => vec![marking(role.as_str(), mark)],
        ServerStep::MarkLogin { login, mark } => vec![marking(login.as_str(), mark)],
        ServerStep::OwnDatabase {
            database,
            role,
            mark,
        } => {
            let mut statements = database::owning(database, role, mark, catalog);
            statements.push(marking(role.as_str(), mark));
            statements
        }
        ServerStep::AllowReplication { .. }
        | ServerStep::RevokeReplication { .. }
        | ServerStep::LimitConnections { .. }
        | ServerStep::Elevate { .. }
        | ServerStep::Demote { .. } => powers::changing(step, catalog),
        ServerStep::Retire { login } => vec![sql!(
            "ALTER ROLE {name} NOLOGIN PASSWORD NULL",
            name = Ident(login.as_str())
        )],
        ServerStep::Disarm { login } => vec![sql!(
            "ALTER ROLE {name} PASSWORD NULL",
            name = Ident(login.as_str())
        )],
        ServerStep::HandOver { role, to } => database::handing_over(role, to, catalog),
        ServerStep::DropOwner { role } => vec![dropping_role(role.as_str())],
        // Not shared: see `pieces`.
        // The first four are MongoDB's: here a server has each login once, and the owner role has
        // all rights.
        ServerStep::CreateCopy { .. }
        | ServerStep::DropCopy { .. }
        | ServerStep::GrantRoles { .. }
        | ServerStep::RevokeRoles { .. }
        | ServerStep::CreateDatabase { .. }
        | ServerStep::DropDatabase { .. }
        | ServerStep::Terminate { .. }
        | ServerStep::DropLogin { .. } => Vec::new(),
    }
}

/// What role claims have beside what claims have.
fn for_role_claims(step: &ServerStep, catalog: &Catalog) -> Vec<Sql> {
    match step {
        ServerStep::CreateSchemaRole { role, mark } => {
            let name = Ident(role.as_str());
            let create = sql!("CREATE ROLE {name} NOLOGIN", name = name);
            vec![create, marking(role.as_str(), mark)]
        }
        ServerStep::MarkSchemaRole { role, mark } => vec![marking(role.as_str(), mark)],
        ServerStep::JoinSchemaRole { member, role } => {
            vec![granting(role.as_str(), member.as_str(), catalog)]
        }
        ServerStep::SearchPath { login, schemas } => vec![sql!(
            "ALTER ROLE {name} SET search_path TO {schemas}",
            name = Ident(login.as_str()),
            schemas = List(schemas.iter().map(|name| Ident(name.as_str())).collect()),
        )],
        ServerStep::DropSchemaRole { role } => vec![dropping_role(role.as_str())],
        _ => Vec::new(),
    }
}

/// What a membership lacks of its options, it gets by saying them.
fn granting(role: &str, member: &str, catalog: &Catalog) -> Sql {
    sql!(
        "GRANT {role} TO {member}{options}",
        role = Ident(role),
        member = Ident(member),
        options = Keyword(if catalog.version >= MEMBERSHIP_OPTIONS {
            " WITH INHERIT TRUE, SET TRUE"
        } else {
            ""
        }),
    )
}

fn dropping_role(role: &str) -> Sql {
    sql!("DROP ROLE IF EXISTS {role}", role = Ident(role))
}

fn assuming(login: &str, role: &RoleName) -> Sql {
    sql!(
        "ALTER ROLE {name} SET role TO {role}",
        name = Ident(login),
        role = Literal(role.as_str()),
    )
}

/// The server follows memberships and ownership by itself, but a `role` setting is only a text.
fn renaming(from: &RoleName, to: &RoleName, catalog: &Catalog) -> Vec<Sql> {
    let rename = sql!(
        "ALTER ROLE {from} RENAME TO {to}",
        from = Ident(from.as_str()),
        to = Ident(to.as_str()),
    );
    let followers = catalog
        .roles
        .iter()
        .filter(|(_, role)| role.session_role.as_deref() == Some(from.as_str()));
    let follow = followers.map(|(name, _)| assuming(name, to));
    std::iter::once(rename).chain(follow).collect()
}

fn marking(role: &str, mark: &Mark) -> Sql {
    sql!(
        "COMMENT ON ROLE {name} IS {mark}",
        name = Ident(role),
        mark = Literal(&mark.to_string()),
    )
}

fn ending_sessions(login: &Login) -> Sql {
    sql!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {login}",
        login = Literal(login.as_str()),
    )
}

/// Everything in this database that `login` owns or may do.
fn hand_over(login: &str, role: &str) -> Vec<Sql> {
    let (login, role) = (Ident(login), Ident(role));
    vec![
        sql!(
            "REASSIGN OWNED BY {login} TO {role}",
            login = login,
            role = role
        ),
        sql!("DROP OWNED BY {login}", login = login),
    ]
}

fn dropping_login(login: &Login, role: &RoleName, catalog: &Catalog) -> Vec<Sql> {
    // All are told to go before the first is waited for.
    let waiting = sql!(
        "SELECT pg_terminate_backend(pid, 500) FROM pg_stat_activity WHERE usename = {login}",
        login = Literal(login.as_str()),
    );
    let mut work = vec![ending_sessions(login), waiting];
    // Without the owner role nobody could take over what the login owns, and nothing is lost.
    if catalog.roles.contains_key(role.as_str()) {
        work.extend(hand_over(login.as_str(), role.as_str()));
    }
    let mut statements = Acting::of(catalog).as_role(login.as_str(), Reach::Become, work);
    statements.push(sql!("DROP ROLE {name}", name = Ident(login.as_str())));
    statements
}
