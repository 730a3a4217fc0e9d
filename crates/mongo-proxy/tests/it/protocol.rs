//! The application's own login, bad frames, and a Secret that turns to garbage.

use anyhow::{Context, Result};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::mongod::{Shape, run};
use testkit::wait::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{DATABASE, Stage};

async fn works(client: &Client) -> mongodb::error::Result<()> {
    let orders = client.database(DATABASE).collection::<Document>("orders");
    orders.find_one(doc! {}).await.map(drop)
}

#[tokio::test]
async fn applications_log_in_with_the_claims_passwords_alone() -> Result<()> {
    let stage = Stage::start(Shape::Standalone).await?;
    stage.set_password("clerk_a", "second").await?;
    stage.publish("clerk_a", "second")?;
    wait_for("the second password", async || {
        Ok(stage.proxy.is_ready().await.then_some(()))
    })
    .await?;
    let port = stage.proxy.port();
    let attempt = async |login: &str, options: &str| {
        let uri = format!("mongodb://{login}@127.0.0.1:{port}/?authSource={options}");
        works(&Client::with_uri_str(uri).await?).await
    };
    wait_for("the new Secret", async || {
        Ok(Some(attempt("clerk_a:second", "dbclaims").await?))
    })
    .await?;
    attempt("clerk_a:first", "dbclaims").await?;
    attempt("clerk_a:second", "anything").await?;
    attempt("clerk_a:second", "shop&authMechanism=SCRAM-SHA-1").await?;
    attempt("clerk_a:second", "shop&authMechanism=SCRAM-SHA-256").await?;
    for login in ["clerk_a:older", "clerk_b:second", "root:root-of-all"] {
        let err = attempt(login, "admin").await.err().context("let in")?;
        assert!(
            matches!(*err.kind, mongodb::error::ErrorKind::Authentication { .. }),
            "{err}"
        );
    }
    Ok(())
}

/// As a server does that steps down; the driver would not stand it twice.
#[tokio::test]
async fn a_login_that_is_interrupted_begins_again() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let fail = doc! {
        "configureFailPoint": "failCommand",
        "mode": { "times": 5 },
        "data": { "failCommands": ["saslStart", "saslContinue"], "errorCode": 11602 },
    };
    run(&stage.root, "admin", fail).await?;
    works(&stage.client().await?).await?;
    Ok(())
}

#[tokio::test]
async fn bad_frames_end_only_their_own_connection() -> Result<()> {
    let stage = Stage::start(Shape::Standalone).await?;
    let client = stage.client().await?;
    works(&client).await?;
    let frame = |length: u32, op_code: u32, rest: &[u8]| {
        let fields = [length, 1, 0, op_code].map(u32::to_le_bytes).concat();
        [&fields[..], rest].concat()
    };
    let bad = [
        frame(0x7fff_ffff, 2013, &[0; 8]),
        frame(15, 2013, &[]),
        frame(20, 2002, &[0; 4]),
        // Compressed, though nobody was offered that.
        frame(29, 2012, &[221, 7, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0]),
        frame(20, 2013, &[0; 4]),
        frame(26, 2013, &[0, 0, 0, 0, 9, 5, 0, 0, 0, 0]),
        frame(26, 2013, &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0]),
    ];
    for bytes in bad {
        let mut socket = TcpStream::connect(("127.0.0.1", stage.proxy.port())).await?;
        socket.write_all(&bytes).await?;
        let mut answer = Vec::new();
        // A reset is as good an end as a close.
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    works(&client).await?;
    Ok(())
}

#[tokio::test]
async fn a_garbled_secret_keeps_the_last_good_one() -> Result<()> {
    let stage = Stage::start(Shape::Standalone).await?;
    for garbage in ["", "mongodb://", "no uri at all"] {
        stage.volume.swap(garbage)?;
        works(&stage.client().await?).await?;
    }
    stage.create("clerk_b", "second").await?;
    stage.publish("clerk_b", "second")?;
    wait_for("the next login", async || {
        let status = run(
            &stage.client().await?,
            "admin",
            doc! { "connectionStatus": 1 },
        )
        .await?;
        let logins = status
            .get_document("authInfo")?
            .get_array("authenticatedUsers")?;
        let login = logins.first().and_then(|login| login.as_document());
        let login = login.and_then(|login| login.get_str("user").ok());
        Ok((login == Some("clerk_b")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn monitoring_connections_never_log_in() -> Result<()> {
    let stage = Stage::start(Shape::Standalone).await?;
    let before = stage.metric("mongo_proxy_logins_total").unwrap_or(0.0);
    let client = stage.client().await?;
    run(&client, "admin", doc! { "ping": 1 }).await?;
    run(&client, "admin", doc! { "hello": 1 }).await?;
    assert!((stage.metric("mongo_proxy_logins_total").unwrap_or(0.0) - before).abs() < 0.5);
    works(&client).await?;
    assert!((stage.metric("mongo_proxy_logins_total")? - before - 1.0).abs() < 0.5);
    Ok(())
}
