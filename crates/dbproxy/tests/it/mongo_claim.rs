//! The two logins of a claim on MongoDB, as the controller rotates them.

use anyhow::{Context, Result};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use testkit::mongod::{Servers, run};
use testkit::names;
use testkit::wait::wait_for;

const SOURCE: &str = "dbclaims";
const LOGINS: [&str; 2] = ["clerk_a", "clerk_b"];

pub(crate) struct Claim {
    pub(crate) root: Client,
    /// What follows the password in a URI.
    place: String,
    rotations: usize,
}

impl Claim {
    pub(crate) async fn new(servers: &Servers, databases: &[&str]) -> Result<Self> {
        let hosts: Vec<_> = servers
            .ports()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let place = format!(
            "{}/{}?authSource={SOURCE}&replicaSet={}",
            hosts.join(","),
            databases.first().context("no database")?,
            servers.set_name().context("no set")?,
        );
        let root = servers.root()?;
        let on = |database| doc! { "role": "readWrite", "db": database };
        let roles: Vec<Document> = databases.iter().map(on).collect();
        for login in LOGINS {
            let create = doc! { "createUser": login, "pwd": names::random(24), "roles": &roles };
            run(&root, SOURCE, create).await?;
        }
        Ok(Self {
            root,
            place,
            rotations: 0,
        })
    }

    /// Of those that the last rotation left, and of those that it made current.
    pub(crate) fn logins(&self) -> [&'static str; 2] {
        match self.rotations % 2 {
            0 => LOGINS,
            _ => [LOGINS[1], LOGINS[0]],
        }
    }

    /// Gives the idle login a new password, and returns what the Secret holds next.
    pub(crate) async fn rotate(&mut self) -> Result<SecretString> {
        self.rotations += 1;
        let [_, login] = self.logins();
        let password = names::random(24);
        self.set_password(login, &password).await?;
        Ok(format!("mongodb://{login}:{password}@{}", self.place).into())
    }

    /// Nobody can log in with the previous login any more.
    pub(crate) async fn retire(&self) -> Result<()> {
        let [previous, _] = self.logins();
        self.set_password(previous, &names::random(24)).await
    }

    pub(crate) async fn drop_login(&self, login: &str) -> Result<()> {
        run(&self.root, SOURCE, doc! { "dropUser": login })
            .await
            .map(drop)
    }

    /// Waits until no member has a connection of the previous login.
    pub(crate) async fn is_left(&self, servers: &Servers) -> Result<()> {
        let [login, _] = self.logins();
        for member in &servers.members {
            let root = member.root()?;
            wait_for(format!("no connection of {login}"), async || {
                let connections = connections(&root, login).await?;
                anyhow::ensure!(connections == 0, "there are {connections}");
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// The same again where the outcome is unknown, as while a set has no primary.
    async fn set_password(&self, login: &str, password: &str) -> Result<()> {
        wait_for(format!("a new password of {login}"), async || {
            let update = doc! {
                "updateUser": login,
                "pwd": password,
                "writeConcern": { "w": "majority", "wtimeout": 10_000 },
            };
            let answer = run(&self.root, SOURCE, update).await?;
            anyhow::ensure!(!answer.contains_key("writeConcernError"), "{answer}");
            Ok(Some(()))
        })
        .await
    }
}

async fn connections(root: &Client, login: &str) -> Result<i32> {
    let stages = vec![
        doc! { "$currentOp": { "allUsers": true, "idleConnections": true } },
        doc! { "$match": { "effectiveUsers.user": login } },
        doc! { "$count": "number" },
    ];
    let aggregate = doc! { "aggregate": 1, "pipeline": stages, "cursor": {} };
    let answer = run(root, "admin", aggregate).await?;
    let batch = answer.get_document("cursor")?.get_array("firstBatch")?;
    let counted = batch.first().and_then(|counted| counted.as_document());
    Ok(counted.map_or(Ok(0), |counted| counted.get_i32("number"))?)
}
