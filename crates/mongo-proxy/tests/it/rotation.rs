//! Under load through rotations of every kind: the application sees none of them.

use anyhow::Result;
use mongodb::bson::{Document, doc};
use testkit::mongod::Shape;
use testkit::wait::wait_for;

use crate::load::Load;
use crate::stage::{DATABASE, Stage};

/// As often as other drivers go through it.
const ROTATIONS: usize = 50;

/// Operations of each kind between two steps.
const MEANWHILE: u64 = 3;

async fn no_failures(load: Load) -> Result<()> {
    assert_eq!(load.finish().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_in_place_fails_nothing() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let load = Load::start(&stage).await?;
    for round in 0..4 {
        load.goes_on(MEANWHILE).await?;
        let password = format!("in-place-{round}");
        stage.set_password("clerk_a", &password).await?;
        // A newcomer is refused now, and waits.
        wait_for("a held command", async || {
            Ok((stage.metric("mongo_proxy_held_commands")? > 0.0).then_some(()))
        })
        .await?;
        stage.publish("clerk_a", &password)?;
    }
    load.goes_on(MEANWHILE).await?;
    no_failures(load).await
}

#[tokio::test(flavor = "multi_thread")]
async fn alternating_logins_fail_nothing() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    stage.create("clerk_b", "none").await?;
    let load = Load::start(&stage).await?;
    for round in 0..ROTATIONS {
        let login = if round % 2 == 0 { "clerk_b" } else { "clerk_a" };
        let password = format!("alternating-{round}");
        stage.set_password(login, &password).await?;
        stage.publish(login, &password)?;
        load.goes_on(MEANWHILE).await?;
    }
    no_failures(load).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_login_and_the_old_one_dropped_fail_nothing() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let load = Load::start(&stage).await?;
    let mut before = "clerk_a".to_owned();
    for round in 0..3 {
        let login = format!("clerk_{round}");
        stage.create(&login, "new").await?;
        stage.publish(&login, "new")?;
        // Short work of the old login ends; the change stream is still its.
        wait_for("the new login", async || {
            let generation = stage.metric("mongo_proxy_generation")?;
            Ok((generation > f64::from(round) + 1.5).then_some(()))
        })
        .await?;
        load.goes_on(2 * MEANWHILE).await?;
        stage.drop_login(&before).await?;
        load.goes_on(MEANWHILE).await?;
        before = login;
    }
    assert!(stage.metric("mongo_proxy_mapped_errors_total")? > 0.0);
    no_failures(load).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_dropped_and_made_again_fails_nothing() -> Result<()> {
    let stage = Stage::start(Shape::Set(1)).await?;
    let load = Load::start(&stage).await?;
    for round in 0..3 {
        load.goes_on(MEANWHILE).await?;
        let password = format!("again-{round}");
        stage.drop_login("clerk_a").await?;
        stage.create("clerk_a", &password).await?;
        wait_for("a held command", async || {
            Ok((stage.metric("mongo_proxy_held_commands")? > 0.0).then_some(()))
        })
        .await?;
        stage.publish("clerk_a", &password)?;
    }
    load.goes_on(MEANWHILE).await?;
    no_failures(load).await
}

/// Somebody drops the login in use, and the claim goes on with its other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_dropped_before_its_successor_comes_fails_no_single_command() -> Result<()>
{
    let stage = Stage::start(Shape::Set(1)).await?;
    stage.create("clerk_b", "second").await?;
    let client = stage.client().await?;
    let orders = client.database(DATABASE).collection::<Document>("orders");
    orders.insert_one(doc! { "n": 0 }).await?;
    stage.drop_login("clerk_a").await?;
    let work = async {
        orders.insert_one(doc! { "n": 1 }).await?;
        orders.find_one(doc! { "n": 1 }).await?;
        Ok(())
    };
    let change = async {
        wait_for("a held command", async || {
            Ok((stage.metric("mongo_proxy_held_commands")? > 0.0).then_some(()))
        })
        .await?;
        stage.publish("clerk_b", "second")
    };
    tokio::try_join!(work, change)?;
    assert_eq!(orders.count_documents(doc! {}).await?, 2);
    Ok(())
}

/// So the tests above can fail.
#[tokio::test(flavor = "multi_thread")]
async fn without_affinity_work_is_lost() -> Result<()> {
    let stage = Stage::start_with(Shape::Set(1), |settings| settings.has_affinity = false).await?;
    stage.create("clerk_b", "second").await?;
    let load = Load::start(&stage).await?;
    let mut failures = Vec::new();
    for round in 0..4 {
        let login = if round % 2 == 0 { "clerk_b" } else { "clerk_a" };
        stage.set_password(login, "other").await?;
        stage.publish(login, "other")?;
        load.goes_on(MEANWHILE).await?;
    }
    failures.extend(load.finish().await?);
    assert!(!failures.is_empty());
    Ok(())
}
