//! Drivers see the deployment as it is, at loopback.

use anyhow::{Context, Result};
use mongodb::bson::{Bson, Document, doc};
use testkit::mongod::{Shape, run};
use testkit::wait::wait_for;
use tokio::net::TcpStream;

use crate::stage::{DATABASE, Stage};

#[tokio::test]
async fn a_set_is_found_from_one_address_and_only_at_loopback() -> Result<()> {
    let stage = Stage::start(Shape::Set(3)).await?;
    let members: Vec<_> = stage.servers.ports().collect();
    for options in ["", "?replicaSet=rs0", "?directConnection=true"] {
        let client = stage.client_with(options).await?;
        let hello = run(&client, "admin", doc! { "hello": 1 }).await?;
        let hosts = hello.get_array("hosts")?;
        assert_eq!(hosts.len(), 3);
        for host in hosts {
            let host = host.as_str().context("no text")?;
            let (ip, port) = host.rsplit_once(':').context("no port")?;
            assert_eq!(ip, "127.0.0.1");
            assert!(!members.contains(&port.parse()?), "{host}");
        }
        assert!(
            hosts
                .iter()
                .any(|host| host.as_str() == hello.get_str("me").ok())
        );
    }
    let client = stage.client_with("?readPreference=secondary").await?;
    let answer = run(&client, DATABASE, doc! { "hello": 1 }).await?;
    assert!(answer.get_bool("isWritablePrimary").is_ok());
    let orders = client.database(DATABASE).collection::<Document>("orders");
    orders.insert_one(doc! { "n": 1 }).await?;
    orders.find_one(doc! {}).await?;
    Ok(())
}

#[tokio::test]
async fn a_standalone_stays_one() -> Result<()> {
    let stage = Stage::start(Shape::Standalone).await?;
    let client = stage.client().await?;
    let orders = client.database(DATABASE).collection::<Document>("orders");
    orders.insert_one(doc! { "n": 1 }).await?;
    assert!(orders.find_one(doc! { "n": 1 }).await?.is_some());
    let err = orders
        .watch()
        .await
        .err()
        .context("a stream from a standalone")?;
    assert!(err.to_string().contains("40573"), "{err}");
    Ok(())
}

/// As a driver does that takes one address without options for the only server.
#[tokio::test(flavor = "multi_thread")]
async fn the_listeners_own_port_is_the_primary_whoever_that_is() -> Result<()> {
    let stage = Stage::start(Shape::Set(3)).await?;
    let client = stage.client_with("?directConnection=true").await?;
    let orders = client.database(DATABASE).collection::<Document>("orders");
    for n in 0..2 {
        orders.insert_one(doc! { "n": n }).await?;
        let before = stage.servers.by_role().await?.0.port;
        wait_for("another primary", async || {
            let (primary, _) = stage.servers.by_role().await?;
            if primary.port == before {
                let down = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 };
                run(&primary.root()?, "admin", down).await?;
            }
            Ok((primary.port != before).then_some(()))
        })
        .await?;
        orders.insert_one(doc! { "n": n }).await?;
    }
    assert_eq!(orders.count_documents(doc! {}).await?, 4);
    Ok(())
}

#[tokio::test]
async fn sessions_are_ended_on_a_fresh_connection() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let client = stage.client().await?;
    run(&client, "admin", doc! { "endSessions": [] }).await?;
    Ok(())
}

/// The members that the proxy tells of, asked at its own port.
async fn told(stage: &Stage) -> Result<Vec<String>> {
    let client = stage.client_with("?directConnection=true").await?;
    let hello = run(&client, "admin", doc! { "hello": 1 }).await?;
    client.shutdown().await;
    let hosts = hello.get_array("hosts")?.iter();
    Ok(hosts
        .filter_map(|host| Some(host.as_str()?.to_owned()))
        .collect())
}

/// Takes the last member out of the set, or puts it back.
async fn reconfigure(stage: &Stage, members: &[Bson]) -> Result<()> {
    let found = run(&stage.root, "admin", doc! { "replSetGetConfig": 1 }).await?;
    let mut config = found.get_document("config")?.clone();
    config.insert("version", config.get_i32("version")? + 1);
    config.insert("members", members.to_vec());
    run(&stage.root, "admin", doc! { "replSetReconfig": config })
        .await
        .map(drop)
}

/// Check A 10.
#[tokio::test]
async fn members_that_come_have_a_port_before_they_are_told_of_and_those_that_go_lose_it()
-> Result<()> {
    let stage = Stage::start(Shape::Set(3)).await?;
    let found = run(&stage.root, "admin", doc! { "replSetGetConfig": 1 }).await?;
    let members = found.get_document("config")?.get_array("members")?.clone();
    let primary = format!("127.0.0.1:{}", stage.servers.by_role().await?.0.port);
    let is_primary = |member: &Bson| {
        let host = member
            .as_document()
            .and_then(|member| member.get_str("host").ok());
        host == Some(primary.as_str())
    };
    let first = told(&stage).await?;
    assert_eq!(first.len(), 3);
    for host in &first {
        TcpStream::connect(host).await?;
    }

    let goes = members.iter().rposition(|member| !is_primary(member));
    let mut fewer = members.clone();
    fewer.remove(goes.context("only primaries")?);
    reconfigure(&stage, &fewer).await?;
    let second = wait_for("a set of two", async || {
        let told = told(&stage).await?;
        Ok((told.len() == 2).then_some(told))
    })
    .await?;
    let gone = first.iter().find(|host| !second.contains(host));
    let gone = gone.context("who has gone?")?;
    wait_for("its port to close", async || {
        Ok(TcpStream::connect(gone).await.err().map(drop))
    })
    .await?;

    reconfigure(&stage, &members).await?;
    let third = wait_for("a set of three", async || {
        let told = told(&stage).await?;
        Ok((told.len() == 3).then_some(told))
    })
    .await?;
    for host in &third {
        TcpStream::connect(host).await?;
    }
    Ok(())
}
