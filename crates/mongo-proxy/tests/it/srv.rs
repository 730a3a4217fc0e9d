//! A URI that names a service instead of hosts.

use anyhow::{Context, Result};
use mongodb::bson::doc;
use testkit::dns::NameServer;
use testkit::mongod::{Servers, Shape, run};
use testkit::wait::wait_for;

use crate::stage::{DATABASE, Stage, create};

/// A name in the domain of which an address at loopback is, as far as names go.
const NAME: &str = "set.0.0.1";

#[tokio::test]
async fn the_hosts_of_a_name_are_followed() -> Result<()> {
    let (first, second) = (deployment().await?, deployment().await?);
    let names = NameServer::start(hosts(&first)?).await?;
    let address = Some(names.address);
    let stage = Stage::start_with(Shape::Standalone, |settings| settings.nameserver = address);
    let stage = stage.await?;
    let options = "authSource=dbclaims&tls=false";
    let uri = format!("mongodb+srv://clerk_b:second@{NAME}/{DATABASE}?{options}");
    stage.volume.swap(&uri)?;
    arrives(&stage, &first).await?;
    names.change(hosts(&second)?);
    arrives(&stage, &second).await
}

async fn deployment() -> Result<Servers> {
    let servers = Servers::start(Shape::Standalone).await?;
    create(&servers.root()?, "clerk_b", "second").await?;
    Ok(servers)
}

fn hosts(servers: &Servers) -> Result<Vec<(String, u16)>> {
    let port = servers.ports().next().context("no server")?;
    Ok(vec![("127.0.0.1.".to_owned(), port)])
}

/// Waits until what new clients write is there.
async fn arrives(stage: &Stage, there: &Servers) -> Result<()> {
    let root = there.root()?;
    wait_for("a write to arrive", async || {
        let client = stage.client().await?;
        let insert = doc! { "insert": "t", "documents": [{}] };
        run(&client, DATABASE, insert).await?;
        client.shutdown().await;
        let counted = run(&root, DATABASE, doc! { "count": "t" }).await?;
        Ok((counted.get_i32("n")? > 0).then_some(()))
    })
    .await
}
