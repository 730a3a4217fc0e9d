//! mongods of a test's own, as a DatabaseServer and as a source of claims.

use anyhow::{Context, Result};
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};
use testkit::mongod::{ADMIN_ROLE, Servers, Shape, create_admin_role, run};

use crate::support::{Stage, merge};

/// The databases on which the admin may grant roles.
pub(crate) const DATABASES: [&str; 9] = [
    "orders", "image", "profiles", "d1", "d2", "d3", "d4", "d5", "d6",
];

/// One more, for the claim that has two.
pub(crate) const SECOND: &str = "second";

const ADMIN: &str = "controller";
const PASSWORD: &str = "of-the-controller";

/// A server with an admin of the least role.
pub(crate) struct Place {
    pub(crate) servers: Servers,
    pub(crate) root: Client,
    password: String,
}

impl Place {
    pub(crate) async fn start(shape: Shape) -> Result<Self> {
        let all: Vec<_> = DATABASES.into_iter().chain([SECOND]).collect();
        Self::with(shape, &all).await
    }

    /// One on which claims may use these databases.
    pub(crate) async fn with(shape: Shape, databases: &[&str]) -> Result<Self> {
        Self::of(Servers::start(shape).await?, databases, PASSWORD).await
    }

    /// With an admin of that password.
    pub(crate) async fn of(servers: Servers, databases: &[&str], password: &str) -> Result<Self> {
        let root = servers.root()?;
        create_admin_role(&root, databases).await?;
        let admin = doc! { "createUser": ADMIN, "pwd": password, "roles": [ADMIN_ROLE] };
        run(&root, "admin", admin).await?;
        Ok(Self {
            servers,
            root,
            password: password.to_owned(),
        })
    }

    /// Login and password of the admin.
    pub(crate) fn admin(&self) -> (&str, &str) {
        (ADMIN, &self.password)
    }

    /// Makes it a DatabaseServer that admits the stage's namespace. Returns its name.
    pub(crate) async fn register(&self, stage: &Stage, stem: &str) -> Result<String> {
        self.register_with(stage, stem, json!({})).await
    }

    /// The same, with more in its spec.
    pub(crate) async fn register_with(
        &self,
        stage: &Stage,
        stem: &str,
        more: Value,
    ) -> Result<String> {
        let mut ports = self.servers.ports();
        let first = ports.next().context("no member")?;
        let members: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        let mut mongodb = json!({ "members": members });
        if let Some(set) = self.servers.set_name() {
            merge(&mut mongodb, json!({ "replicaSet": set }));
        }
        let mut spec = json!({
            "engine": "mongodb", "host": "127.0.0.1", "port": first, "mongodb": mongodb,
        });
        merge(&mut spec, more);
        stage.server_of(stem, self.admin(), spec).await
    }

    /// The admin's URI, for claims that name the server themselves.
    pub(crate) fn source(&self, database: &str) -> String {
        self.source_with(database, &self.password)
    }

    /// The same with another password.
    pub(crate) fn source_with(&self, database: &str, password: &str) -> String {
        let password = encoded(password);
        let hosts: Vec<_> = self
            .servers
            .ports()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let set = self.servers.set_name();
        let set = set
            .map(|name| format!("&replicaSet={name}"))
            .unwrap_or_default();
        format!(
            "mongodb://{ADMIN}:{password}@{}/{database}?authSource=admin&tls=false{set}",
            hosts.join(",")
        )
    }

    /// Names of the logins of claims.
    pub(crate) async fn logins(&self) -> Result<Vec<String>> {
        let answer = run(&self.root, "dbclaims", doc! { "usersInfo": 1 }).await?;
        let users = answer
            .get_array("users")?
            .iter()
            .filter_map(Bson::as_document);
        let mut names: Vec<_> = users.filter_map(|user| user.get_str("user").ok()).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

/// A claim on a database of `server`.
pub(crate) fn made(user: &str, database: &str, server: &str) -> Value {
    json!({
        "type": "mongodb", "userName": user, "databaseName": database, "server": server,
        "reclaimPolicy": "Delete",
    })
}

/// Writes one document as the application would, and reads it back.
pub(crate) async fn write(client: &Client, database: &str) -> Result<()> {
    let receipts = client.database(database).collection::<Document>("receipts");
    receipts.insert_one(doc! { "total": 7 }).await?;
    let found = receipts.find_one(doc! { "total": 7 }).await?;
    found.context("what was written is not there").map(drop)
}

/// For a URI.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}
