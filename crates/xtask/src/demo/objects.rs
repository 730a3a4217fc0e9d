//! What a platform team and an application team would apply: servers, admin Secrets, claims.

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::conditions::{self, Type};
use api::names::secret_key;
use api::server::DatabaseServer;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::postgres::Dsn;
use testkit::wait::wait_for;

use super::stage::{CLASS, HOME, NAMESPACE, Server, Stage};

/// Short, so that a minute sees many rotations.
const PERIOD: &str = "2s";

/// A claim of the demo, for people.
pub(super) struct Claim {
    pub name: String,
    pub server: String,
    pub what: &'static str,
}

/// Makes the DatabaseServer and its admin's Secret. Returns the version once it is Ready.
pub(super) async fn admit(client: &Client, server: &Server) -> Result<String> {
    let Server {
        name,
        postgres,
        admin,
    } = server;
    let secret = format!("{name}-admin");
    put_admin(client, HOME, &secret, &admin.dsn).await?;
    let object: DatabaseServer = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "host": postgres.host(),
            "port": postgres.port(),
            "sslMode": "require",
            "adminSecretRef": { "name": secret },
            "allowedNamespaces": { "names": [NAMESPACE] },
        },
    }))?;
    let servers = Api::<DatabaseServer>::all(client.clone());
    servers.create(&PostParams::default(), &object).await?;
    wait_for(format!("DatabaseServer {name} to be Ready"), async || {
        let status = servers.get(name).await?.status.unwrap_or_default();
        ensure!(
            conditions::is_true(&status.conditions, Type::Ready),
            "conditions: {}",
            serde_json::to_string(&status.conditions)?
        );
        Ok(status.version)
    })
    .await
}

/// A new database on each server, and on the first one an existing database by DSN and secretRef.
pub(super) async fn claims(stage: &Stage) -> Result<Vec<Claim>> {
    let [first, second] = &stage.servers;
    let mut all = Vec::new();
    for (name, server) in [("orders", first), ("invoices", second)] {
        let spec = json!({
            "userName": name, "databaseName": name, "server": server.name, "rotation": often(),
        });
        create(&stage.client, name, spec).await?;
        all.push(claim(name, server, "new database"));
    }
    let admin = &first.admin.dsn;
    first
        .postgres
        .create_database("warehouse", admin.login())
        .await?;
    put_admin(&stage.client, NAMESPACE, "warehouse-admin", admin).await?;
    let (login, port) = (admin.login(), first.postgres.port());
    let dsn = format!("postgres://{login}@localhost:{port}/warehouse?sslmode=require");
    let spec = json!({
        "userName": "storekeeper",
        "databaseName": "warehouse",
        "rotation": often(),
        "useExistingSource": true,
        "sourceDataFrom": {
            "type": "database",
            "database": { "dsn": dsn, "secretRef": { "name": "warehouse-admin" } },
        },
    });
    create(&stage.client, "warehouse", spec).await?;
    all.push(claim("warehouse", first, "existing database"));
    Ok(all)
}

fn claim(name: &str, server: &Server, what: &'static str) -> Claim {
    Claim {
        name: name.to_owned(),
        server: format!("{} (PostgreSQL {})", server.name, server.postgres.major()),
        what,
    }
}

/// All the time.
fn often() -> Value {
    json!({ "period": PERIOD })
}

pub(super) async fn create(client: &Client, name: &str, spec: Value) -> Result<()> {
    let mut object: DatabaseClaim =
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec }))?;
    object.spec.class = Some(CLASS.to_owned());
    Api::<DatabaseClaim>::namespaced(client.clone(), NAMESPACE)
        .create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("cannot create claim {name}"))
        .map(drop)
}

/// Waits until the claim is Ready.
pub(super) async fn ready(stage: &Stage, name: &str) -> Result<DatabaseClaim> {
    wait_for(format!("claim {name} to be Ready"), async || {
        let claim = get(stage, name).await?;
        let status = claim.status.clone().unwrap_or_default();
        ensure!(
            conditions::is_true(&status.conditions, Type::Ready),
            "conditions: {}",
            serde_json::to_string(&status.conditions)?
        );
        Ok(Some(claim))
    })
    .await
}

pub(super) fn all(stage: &Stage) -> Api<DatabaseClaim> {
    Api::namespaced(stage.client.clone(), NAMESPACE)
}

pub(super) async fn get(stage: &Stage, name: &str) -> Result<DatabaseClaim> {
    all(stage)
        .get(name)
        .await
        .with_context(|| format!("cannot read claim {name}"))
}

/// The login that the claim's Secret names.
pub(super) fn current_login(claim: &DatabaseClaim) -> String {
    let rotation = claim
        .status
        .as_ref()
        .and_then(|status| status.rotation.as_ref());
    let login = rotation.and_then(|rotation| rotation.current_login.clone());
    login.unwrap_or_else(|| format!("of {}", claim.name_any()))
}

/// How often the credential was replaced after it was first published.
pub(super) fn rotations(claim: &DatabaseClaim) -> i64 {
    let rotation = claim
        .status
        .as_ref()
        .and_then(|status| status.rotation.as_ref());
    rotation.map_or(0, |rotation| rotation.generation.saturating_sub(1).max(0))
}

async fn put_admin(client: &Client, namespace: &str, name: &str, admin: &Dsn) -> Result<()> {
    let object: Secret = serde_json::from_value(json!({
        "metadata": { "name": name },
        "stringData": {
            secret_key::USERNAME: admin.login(),
            secret_key::PASSWORD: admin.password().expose_secret(),
        },
    }))?;
    Api::<Secret>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("cannot create Secret {namespace}/{name}"))
        .map(drop)
}
