//! The same drivers and a set of three whose primaries go, while the login changes; and the same
//! drivers without the proxy, to see what is the servers' doing.

use anyhow::Result;
use mongodb::bson::doc;
use secrecy::ExposeSecret;
use testkit::assets::clients::Language;
use testkit::mongod::{Servers, Shape, run};
use testkit::wait::wait_for;

use crate::mongo_claim::Claim;
use crate::mongo_crew::Crew;
use crate::mongo_languages::{ENVIRONMENT, rotate};
use crate::proxy::Dbproxy;

const DIRECT: &str = "direct";
const PROXIED: &str = "proxied";

#[tokio::test(flavor = "multi_thread")]
async fn primaries_that_go_during_a_rotation_fail_nothing_that_is_retried() -> Result<()> {
    let servers = Servers::start(Shape::Set(3)).await?;
    let mut claim = Claim::new(&servers, &[DIRECT, PROXIED]).await?;
    let secret = claim.rotate().await?;

    let direct = Crew::default();
    let play = primaries_go(&direct, &servers, async || Ok(()));
    direct.work(secret.expose_secret(), play).await?;

    let proxy = Dbproxy::ready(&secret, &ENVIRONMENT).await?;
    let proxied = Crew::default();
    let play = primaries_go(&proxied, &servers, async || {
        rotate(&mut claim, &proxy).await
    });
    let uri = format!("mongodb://127.0.0.1:{}/{PROXIED}", proxy.port);
    proxied.work(&uri, play).await?;
    assert_eq!(direct.failures(), Vec::<String>::new());
    for (crew, database) in [(&direct, DIRECT), (&proxied, PROXIED)] {
        println!("{database}: {:?}\n{}", crew.failures(), crew.summary());
        // To the Java driver one address without options is one server. It drops its connections
        // when that is no primary any more, and no driver repeats a getMore.
        assert!(crew.fails_only(Language::Java, "finds"));
        crew.is_right(&claim.root, database, 5).await?;
    }
    assert!(proxy.process.stop().await?.success());
    Ok(())
}

/// One steps down, and then the next; `meanwhile` happens at both times.
async fn primaries_go(
    crew: &Crew,
    servers: &Servers,
    mut meanwhile: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    crew.goes_on(1).await?;
    tokio::try_join!(step_down(servers), meanwhile())?;
    crew.goes_on(2).await?;
    tokio::try_join!(step_down(servers), meanwhile())?;
    crew.goes_on(2).await
}

async fn step_down(servers: &Servers) -> Result<()> {
    let before = servers.by_role().await?.0.port;
    wait_for("another primary", async || {
        let (primary, _) = servers.by_role().await?;
        if primary.port == before {
            let down = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 };
            run(&primary.root()?, "admin", down).await?;
        }
        Ok((primary.port != before).then_some(()))
    })
    .await
}
