//! Drivers in four languages, each told nothing but an address at loopback, through many changes
//! of the login.

use anyhow::Result;
use testkit::mongod::{Servers, Shape};
use testkit::wait::wait_for;

use crate::mongo_claim::Claim;
use crate::mongo_crew::Crew;
use crate::proxy::Dbproxy;

const ROTATIONS: usize = 50;

/// After so many of them the previous login must have been left, before the next begins.
const PATIENCE: usize = 30;

/// Of every kind of work between two rotations.
const MEANWHILE: u64 = 1;

const DATABASE: &str = "orders";

/// Work of a previous login that does not end by itself, as a change stream, moves after 10 s.
pub(crate) const ENVIRONMENT: [(&str, &str); 2] = [
    ("DBPROXY_ENGINE", "mongodb"),
    ("DBPROXY_DRAIN_SECONDS", "10"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_of_any_driver_fails_through_fifty_rotations() -> Result<()> {
    let servers = Servers::start(Shape::Set(1)).await?;
    let mut claim = Claim::new(&servers, &[DATABASE]).await?;
    let proxy = Dbproxy::ready(&claim.rotate().await?, &ENVIRONMENT).await?;
    let crew = Crew::default();
    let play = async {
        crew.goes_on(MEANWHILE).await?;
        for number in 1..=ROTATIONS {
            rotate(&mut claim, &proxy).await?;
            if number % PATIENCE == 0 {
                claim.is_left(&servers).await?;
                claim.retire().await?;
            }
            crew.goes_on(MEANWHILE).await?;
        }
        Ok(())
    };
    let uri = format!("mongodb://127.0.0.1:{}/{DATABASE}", proxy.port);
    crew.work(&uri, play).await?;
    println!("{}", crew.summary());
    assert_eq!(crew.failures(), Vec::<String>::new());
    crew.is_right(&claim.root, DATABASE, u64::try_from(ROTATIONS)?)
        .await?;
    assert!(proxy.process.stop().await?.success());
    Ok(())
}

/// Waits until the proxy uses the other login.
pub(crate) async fn rotate(claim: &mut Claim, proxy: &Dbproxy) -> Result<()> {
    const GENERATION: &str = "mongo_proxy_generation";
    let before = proxy.metric(GENERATION).await?;
    let secret = claim.rotate().await?;
    proxy.publish(&secret)?;
    wait_for("the new login", async || {
        let now = proxy.metric(GENERATION).await?;
        Ok(((now - before).abs() > 0.5).then_some(()))
    })
    .await
}

/// So the tests above can fail: without a proxy a dropped login fails work of every kind.
#[tokio::test(flavor = "multi_thread")]
async fn the_clients_tell_of_what_fails() -> Result<()> {
    let servers = Servers::start(Shape::Set(1)).await?;
    let mut claim = Claim::new(&servers, &[DATABASE]).await?;
    let uri = claim.rotate().await?;
    let crew = Crew::default();
    let play = async {
        crew.goes_on(1).await?;
        let [_, login] = claim.logins();
        claim.drop_login(login).await?;
        crew.reports_failures().await
    };
    crew.work(secrecy::ExposeSecret::expose_secret(&uri), play)
        .await
}
