//! The program as the sidecar of a claim on MongoDB.

use anyhow::{Context, Result};
use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use testkit::mongod::{Servers, Shape, client_of, run};

use crate::proxy::Dbproxy;

/// A login of a claim, as the controller makes one.
async fn login(servers: &Servers, name: &str) -> Result<SecretString> {
    let roles = vec![doc! { "role": "readWrite", "db": "orders" }];
    let user = doc! { "createUser": name, "pwd": "pw-of-it", "roles": roles };
    run(&servers.root()?, "dbclaims", user).await?;
    let port = servers.ports().next().context("no server")?;
    let set = servers.set_name().context("no set")?;
    let uri = format!(
        "mongodb://{name}:pw-of-it@127.0.0.1:{port}/orders?authSource=dbclaims&replicaSet={set}"
    );
    Ok(format!("{uri}&tls=false").into())
}

#[tokio::test]
async fn a_driver_at_loopback_notices_no_change_of_login() -> Result<()> {
    let servers = Servers::start(Shape::Set(1)).await?;
    let first = login(&servers, "clerk_a").await?;
    let proxy = Dbproxy::ready(&first, &[("DBPROXY_ENGINE", "mongodb")]).await?;
    let uri = format!("mongodb://127.0.0.1:{}/orders", proxy.port);
    let client = client_of(&uri.into()).await?;
    let receipts = client.database("orders").collection::<Document>("receipts");
    receipts.insert_one(doc! { "n": 0 }).await?;

    let second = login(&servers, "clerk_b").await?;
    proxy.publish(&second)?;
    proxy.reaches("mongo_proxy_generation", 2.0).await?;
    proxy.acknowledges(Some(2)).await?;
    receipts.insert_one(doc! { "n": 1 }).await?;
    run(&servers.root()?, "dbclaims", doc! { "dropUser": "clerk_a" }).await?;
    for n in 2..20 {
        receipts.insert_one(doc! { "n": n }).await?;
    }
    assert_eq!(receipts.count_documents(doc! {}).await?, 20);
    client.shutdown().await;
    assert!(proxy.process.stop().await?.success());
    Ok(())
}
