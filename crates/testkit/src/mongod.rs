//! Real mongods: one alone, or a replica set, with authentication and a root.

mod launch;
pub mod service;

use anyhow::{Context, Result};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, Credential, ServerAddress},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    process::{Process, free_port},
    wait::wait_for,
};

use launch::Launch;
pub use launch::Options;

const ROOT: &str = "root";
const ROOT_PASSWORD: &str = "root-of-all";

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Standalone,
    Set(usize),
}

pub struct Servers {
    pub shape: Shape,
    pub members: Vec<Member>,
}

pub struct Member {
    pub port: u16,
    pub process: Process,
    launch: Launch,
}

impl Servers {
    pub async fn start(shape: Shape) -> Result<Self> {
        Self::start_with(shape, &Options::default()).await
    }

    pub async fn start_with(shape: Shape, options: &Options<'_>) -> Result<Self> {
        let count = match shape {
            Shape::Standalone => 1,
            Shape::Set(count) => count,
        };
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(Member::start(shape, options).await?);
        }
        let servers = Self { shape, members };
        servers.found().await?;
        Ok(servers)
    }

    /// Makes the set and its root, through the exception for loopback.
    async fn found(&self) -> Result<()> {
        if let Shape::Set(_) = self.shape {
            self.initiate().await?;
        }
        // Any member may have won the election.
        let port = wait_for("a primary", async || Ok(Some(self.by_role().await?.0.port))).await?;
        let primary = client(std::iter::once(port), None, None)?;
        create_root(&primary, ROOT, ROOT_PASSWORD).await?;
        let root = self.root()?;
        wait_for("all members", async || {
            if self.shape == Shape::Standalone {
                return Ok(Some(()));
            }
            let answer = root
                .database("admin")
                .run_command(doc! { "replSetGetStatus": 1 })
                .await?;
            let members = answer.get_array("members")?.iter();
            let states: Vec<_> = members
                .filter_map(|member| member.as_document()?.get_i32("state").ok())
                .collect();
            Ok(states
                .iter()
                .all(|state| matches!(state, 1 | 2))
                .then_some(()))
        })
        .await
    }

    async fn initiate(&self) -> Result<()> {
        let members: Vec<_> = self
            .ports()
            .enumerate()
            .map(|(id, port)| {
                let id = i32::try_from(id).unwrap_or_default();
                doc! { "_id": id, "host": format!("127.0.0.1:{port}") }
            })
            .collect();
        let settings = doc! { "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": "rs0", "members": members, "settings": settings };
        let first = client(self.ports().take(1), None, None)?;
        let initiate = doc! { "replSetInitiate": config };
        run(&first, "admin", initiate).await.map(drop)
    }

    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.members.iter().map(|member| member.port)
    }

    pub fn set_name(&self) -> Option<String> {
        (self.shape != Shape::Standalone).then(|| "rs0".to_owned())
    }

    /// As root, who sees everything.
    pub fn root(&self) -> Result<Client> {
        let root = (ROOT, ROOT_PASSWORD, "admin");
        client(self.ports(), self.set_name(), Some(root))
    }

    /// Another root.
    pub async fn create_root(&self, name: &str, password: &str) -> Result<()> {
        create_root(&self.root()?, name, password).await
    }

    /// The members that are not primary at this moment, and the one that is.
    pub async fn by_role(&self) -> Result<(&Member, Vec<&Member>)> {
        let mut primary = None;
        let mut others = Vec::new();
        for member in &self.members {
            let client = client(std::iter::once(member.port), None, None)?;
            let hello = client
                .database("admin")
                .run_command(doc! { "hello": 1 })
                .await?;
            if hello.get_bool("isWritablePrimary")? {
                primary = Some(member);
            } else {
                others.push(member);
            }
        }
        Ok((primary.context("no primary")?, others))
    }

    pub fn log(&self) -> Result<String> {
        let logs = self.members.iter();
        let logs = logs.map(|member| std::fs::read_to_string(member.process.log_path()));
        Ok(logs.collect::<std::io::Result<Vec<_>>>()?.join("\n"))
    }
}

impl Member {
    /// Stops every thread: on a busy machine some run on for a while after the signal, and one of
    /// them could still confirm a write.
    pub async fn pause(&self) -> Result<()> {
        self.process.pause()?;
        let tasks = format!("/proc/{}/task", self.process.pid());
        wait_for("all threads to stop", async || {
            let mut are_stopped = true;
            for task in std::fs::read_dir(&tasks)? {
                let stat = std::fs::read_to_string(task?.path().join("stat"))?;
                // The state follows the name, which stands in brackets.
                let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
                are_stopped &= state.is_some_and(|state| state.starts_with('T'));
            }
            Ok(are_stopped.then_some(()))
        })
        .await
    }

    /// As root at this member.
    pub fn root(&self) -> Result<Client> {
        let root = (ROOT, ROOT_PASSWORD, "admin");
        client(std::iter::once(self.port), None, Some(root))
    }

    /// With the data that it had, after its process has ended.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = self.launch.start(self.port).await?;
        Ok(())
    }

    async fn start(shape: Shape, options: &Options<'_>) -> Result<Self> {
        let launch = Launch::new(shape, options)?;
        let port = free_port()?;
        Ok(Self {
            port,
            process: launch.start(port).await?,
            launch,
        })
    }
}

async fn create_root(client: &Client, name: &str, password: &str) -> Result<()> {
    let create = doc! { "createUser": name, "pwd": password, "roles": ["root"] };
    run(client, "admin", create).await.map(drop)
}

/// A plain client: of one member, or of all of a set.
pub fn client(
    ports: impl Iterator<Item = u16>,
    set: Option<String>,
    login: Option<(&str, &str, &str)>,
) -> Result<Client> {
    let host = |port| ServerAddress::Tcp {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
    };
    let credential = login.map(|(name, password, source)| {
        Credential::builder()
            .username(name.to_owned())
            .password(password.to_owned())
            .source(source.to_owned())
            .build()
    });
    let options = ClientOptions::builder()
        .hosts(ports.map(host).collect::<Vec<_>>())
        .direct_connection(set.is_none())
        .repl_set_name(set)
        .credential(credential)
        .build();
    Ok(Client::with_options(options)?)
}

pub async fn run(client: &Client, database: &str, command: Document) -> Result<Document> {
    Ok(client.database(database).run_command(command).await?)
}

/// A new client with that URI, and its first command.
pub async fn log_in(uri: &SecretString) -> Result<()> {
    let client = client_of(uri).await?;
    let outcome = run(&client, "admin", doc! { "connectionStatus": 1 }).await;
    client.shutdown().await;
    outcome.map(drop)
}

/// A client that does with a URI what an application would.
pub async fn client_of(uri: &SecretString) -> Result<Client> {
    Ok(Client::with_options(
        ClientOptions::parse(uri.expose_secret()).await?,
    )?)
}

/// The role of an admin that may do for claims what it must, and nothing else.
pub const ADMIN_ROLE: &str = "dbController";

/// Makes the role, for claims on these databases.
pub async fn create_admin_role(root: &Client, databases: &[&str]) -> Result<()> {
    let mut privileges = vec![
        on("dbclaims", "", &ON_LOGINS),
        on("dbclaims", "locks", &["find", "insert", "update", "remove"]),
        doc! {
            "resource": { "cluster": true },
            "actions": ["listDatabases", "killAnySession", "inprog"],
        },
    ];
    let on_data = ["grantRole", "revokeRole", "dropDatabase"];
    privileges.extend(databases.iter().map(|database| on(database, "", &on_data)));
    let role = doc! { "createRole": ADMIN_ROLE, "privileges": privileges, "roles": [] };
    run(root, "admin", role).await.map(drop)
}

/// Lets that role define logins in these databases too.
pub async fn allow_logins_in(root: &Client, databases: &[&str]) -> Result<()> {
    let privileges = databases
        .iter()
        .map(|database| on(database, "", &ON_LOGINS));
    let privileges: Vec<_> = privileges.collect();
    let more = doc! { "grantPrivilegesToRole": ADMIN_ROLE, "privileges": privileges };
    run(root, "admin", more).await.map(drop)
}

const ON_LOGINS: [&str; 6] = [
    "createUser",
    "dropUser",
    "changePassword",
    "changeCustomData",
    "viewUser",
    "setAuthenticationRestriction",
];

fn on(database: &str, collection: &str, actions: &[&str]) -> Document {
    doc! { "resource": { "db": database, "collection": collection }, "actions": actions }
}
