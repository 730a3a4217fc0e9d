//! Numbers and sizes of frames: retried writes, answers that come many at a time, the largest that
//! there are.

use anyhow::{Context, Result};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use testkit::mongod::{Shape, run};
use testkit::wait::wait_for;

use crate::raw::{EXHAUST_ALLOWED, MORE_TO_COME, Raw};
use crate::stage::{DATABASE, Stage};

fn session() -> Document {
    let bytes = vec![7; 16];
    let subtype = BinarySubtype::Uuid;
    doc! { "id": Binary { subtype, bytes } }
}

/// Check A 6.
#[tokio::test]
async fn a_write_that_is_sent_again_after_a_change_of_login_is_done_once() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let counters = stage
        .root
        .database(DATABASE)
        .collection::<Document>("counters");
    counters.insert_one(doc! { "_id": "c", "n": 0 }).await?;
    let update = doc! { "q": { "_id": "c" }, "u": { "$inc": { "n": 1 } } };
    let write = doc! {
        "update": "counters", "updates": [update], "lsid": session(), "txnNumber": 1_i64,
        "$db": DATABASE,
    };
    let mut first = Raw::open(stage.proxy.port()).await?;
    let answer = first.call(&write).await?;
    assert_eq!(answer.get_i32("nModified")?, 1, "{answer}");

    stage.create("clerk_b", "second").await?;
    stage.publish("clerk_b", "second")?;
    wait_for("the next login", async || {
        Ok((stage.metric("mongo_proxy_generation")? > 1.5).then_some(()))
    })
    .await?;
    // Where it was, and where a driver goes whose connection was lost.
    let mut second = Raw::open(stage.proxy.port()).await?;
    for connection in [&mut first, &mut second] {
        let answer = connection.call(&write).await?;
        assert_eq!(answer.get_array("retriedStmtIds")?.len(), 1, "{answer}");
    }
    let counter = counters.find_one(doc! {}).await?.context("no counter")?;
    assert_eq!(counter.get_i32("n")?, 1);
    let new = doc! { "connectionStatus": 1, "$db": "admin" };
    let status = second.call(&new).await?;
    let logins = status
        .get_document("authInfo")?
        .get_array("authenticatedUsers")?;
    assert!(format!("{logins:?}").contains("clerk_b"), "{logins:?}");
    Ok(())
}

/// Check A 12: each answer responds to the one before it, and a step-down is among them.
#[tokio::test]
async fn a_hello_that_waits_is_answered_until_the_topology_changes() -> Result<()> {
    let stage = Stage::start(Shape::Set(3)).await?;
    let mut raw = Raw::open(stage.proxy.port()).await?;
    let mut hello = doc! { "hello": 1, "$db": "admin" };
    let known = raw.call(&hello).await?;
    // At the primary's own port: the listener's would end with it.
    let primary = known.get_str("primary")?;
    let port = primary.rsplit_once(':').context("no port")?.1.parse()?;
    let mut raw = Raw::open(port).await?;
    let known = raw.call(&hello).await?;
    hello.insert(
        "topologyVersion",
        known.get_document("topologyVersion")?.clone(),
    );
    hello.insert("maxAwaitTimeMS", 200_i64);
    let mut before = raw.send(EXHAUST_ALLOWED, &hello).await?;
    for _ in 0..4 {
        let answer = raw.receive().await?;
        assert_eq!(answer.response_to, before);
        assert_ne!(answer.flags & MORE_TO_COME, 0);
        assert_eq!(answer.body.get_str("me")?, primary);
        before = answer.id;
    }
    let down = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 };
    let (leader, _) = stage.servers.by_role().await?;
    let leader = leader.root()?;
    let stepping = tokio::spawn(async move { run(&leader, "admin", down).await });
    loop {
        let answer = raw.receive().await?;
        assert_eq!(answer.response_to, before);
        before = answer.id;
        if !answer.body.get_bool("isWritablePrimary")? {
            break;
        }
    }
    stepping.await??;
    Ok(())
}

/// Check A 13: the largest frame and document that a server takes, and one byte more.
#[tokio::test]
async fn the_largest_that_a_server_takes_passes_and_no_byte_more() -> Result<()> {
    const LARGEST_MESSAGE: usize = 48_000_000;
    const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024;
    let stage = Stage::start(Shape::Set(1)).await?;
    let port = stage.proxy.port();
    let mut raw = Raw::open(port).await?;
    // A document of that many bytes: 20 are its frame, its name and the length of its text.
    let document = |size: usize| doc! { "_id": 1, "t": "x".repeat(size - 22) };
    let insert = doc! { "insert": "large", "ordered": true, "$db": DATABASE };

    let largest = document(LARGEST_DOCUMENT);
    assert_eq!(largest.to_vec()?.len(), LARGEST_DOCUMENT);
    raw.send_with(0, &insert, &largest.to_vec()?).await?;
    let answer = raw.receive().await?.body;
    assert_eq!(answer.get_i32("n")?, 1, "{answer}");
    raw.send_with(0, &insert, &document(LARGEST_DOCUMENT + 1).to_vec()?)
        .await?;
    let answer = raw.receive().await?.body;
    assert!(answer.get_i32("n").unwrap_or_default() == 0, "{answer}");

    let found = raw.call(&doc! { "find": "large", "$db": DATABASE }).await?;
    let batch = found.get_document("cursor")?.get_array("firstBatch")?;
    assert_eq!(batch.len(), 1);

    // A message as large as any, of documents that are small enough.
    let overhead = 16 + 4 + 1 + insert.to_vec()?.len() + 1 + 4 + "documents".len() + 1;
    let fits = |total: usize| -> Result<Vec<u8>> {
        let mut left = total - overhead;
        let mut all = Vec::new();
        for id in 0..4 {
            let size = if id == 3 { left } else { 12_000_000 };
            let mut piece = document(size);
            piece.insert("_id", 100 + id);
            all.extend(piece.to_vec()?);
            left -= size;
        }
        Ok(all)
    };
    raw.send_with(0, &insert, &fits(LARGEST_MESSAGE)?).await?;
    let answer = raw.receive().await?.body;
    assert_eq!(answer.get_i32("n")?, 4, "{answer}");
    let mut refused = Raw::open(port).await?;
    let more = fits(LARGEST_MESSAGE + 16 * 1024 + 1)?;
    let sent = refused.send_with(0, &insert, &more);
    let is_refused = sent.await.is_err() || refused.receive().await.is_err();
    assert!(is_refused, "more than a message may be");
    raw.call(&doc! { "ping": 1, "$db": "admin" }).await?;

    // Answers that nobody asks for one by one.
    let many: Result<Vec<_>> = (0..100_000)
        .map(|n| Ok(doc! { "_id": n }.to_vec()?))
        .collect();
    let insert = doc! { "insert": "many", "$db": DATABASE };
    raw.send_with(0, &insert, &many?.concat()).await?;
    assert_eq!(raw.receive().await?.body.get_i32("n")?, 100_000);
    let find = doc! { "find": "many", "batchSize": 10, "limit": 10_000, "$db": DATABASE };
    let found = raw.call(&find).await?;
    let cursor = found.get_document("cursor")?.get_i64("id")?;
    let more = doc! { "getMore": cursor, "collection": "many", "batchSize": 100, "$db": DATABASE };
    let mut before = raw.send(EXHAUST_ALLOWED, &more).await?;
    let mut seen = 10;
    loop {
        let answer = raw.receive().await?;
        assert_eq!(answer.response_to, before);
        before = answer.id;
        let batch = answer.body.get_document("cursor")?.get_array("nextBatch")?;
        seen += batch.len();
        if answer.flags & MORE_TO_COME == 0 {
            break;
        }
    }
    assert_eq!(seen, 10_000);
    Ok(())
}

/// Check A 18: nobody would tell of one that is lost.
#[tokio::test]
async fn unacknowledged_writes_are_stored_through_a_change_of_login() -> Result<()> {
    const WRITES: i32 = 600;
    let stage = Stage::start(Shape::Set(1)).await?;
    stage.create("clerk_b", "second").await?;
    let mut raw = Raw::open(stage.proxy.port()).await?;
    for number in 0..WRITES {
        if number == WRITES / 3 {
            stage.publish("clerk_b", "second")?;
            wait_for("the next login", async || {
                Ok((stage.metric("mongo_proxy_generation")? > 1.5).then_some(()))
            })
            .await?;
            stage.drop_login("clerk_a").await?;
        }
        let insert = doc! {
            "insert": "told", "documents": [{ "_id": number }], "writeConcern": { "w": 0 },
            "$db": DATABASE,
        };
        raw.send(MORE_TO_COME, &insert).await?;
    }
    // Answered after all that were sent before it on the same connection.
    raw.call(&doc! { "ping": 1, "$db": "admin" }).await?;
    let told = stage.root.database(DATABASE).collection::<Document>("told");
    assert_eq!(told.count_documents(doc! {}).await?, u64::try_from(WRITES)?);
    Ok(())
}

/// Many at once, in a quarter of the memory that they are: none is refused.
#[tokio::test(flavor = "multi_thread")]
async fn large_documents_take_turns() -> Result<()> {
    const SIZE: usize = 8 << 20;
    let small = |settings: &mut mongo_proxy::Settings| settings.frame_memory = 4 * SIZE;
    let stage = Stage::start_with(Shape::Standalone, small).await?;
    let client = stage.client().await?;
    let large = client.database(DATABASE).collection::<Document>("large");
    let each = (0..16).map(async |id| {
        let document = doc! { "_id": id, "text": "x".repeat(SIZE) };
        large.insert_one(document).await?;
        let found = large.find_one(doc! { "_id": id }).await?;
        let found = found.context("it is not there")?;
        anyhow::ensure!(found.get_str("text")?.len() == SIZE);
        Ok(())
    });
    futures::future::try_join_all(each).await.map(drop)
}
