//! Clients in other languages, each with its own driver, through rotations in transaction mode:
//! plain and prepared statements, transactions, connections that stay and new ones. What they do
//! in detail is in `tests/clients/postgres`.

use anyhow::Result;
use futures::future::try_join_all;
use testkit::assets::clients::{Engine, Language};
use testkit::postgres::PostgresServer;
use testkit::wait::wait_for;
use tokio::sync::watch;

use crate::proxy::{Claim, Dbproxy};

const ROTATIONS: u32 = 10;

/// A client's totals, as it prints them after each round.
#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Totals {
    queries: u64,
    prepared: u64,
    connections: u64,
    failures: u64,
    failure: Option<String>,
    #[serde(skip)]
    rounds: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_of_any_driver_fails_through_ten_rotations() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let mut dsn = claim.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[]).await?;
    let (end, _) = watch::channel(false);
    let totals = Language::ALL.map(|_| watch::Sender::new(Totals::default()));
    let clients = Language::ALL.iter().zip(&totals);
    let clients = try_join_all(clients.map(|(language, totals)| {
        let ended = end.subscribe();
        let note = |new| {
            totals.send_modify(|old| {
                let rounds = old.rounds + 1;
                *old = Totals { rounds, ..new };
            });
        };
        let port = proxy.port.to_string();
        Box::pin(async move { language.work(Engine::Postgres, &port, note, ended).await })
    }));
    let rotations = async {
        everybody_goes_on(&totals).await?;
        for number in 1..=ROTATIONS {
            let previous = dsn;
            dsn = claim.rotate().await?;
            proxy.publish(&dsn.url())?;
            let generation = f64::from(number + 1);
            proxy
                .reaches("dbproxy_credential_generation", generation)
                .await?;
            claim.is_left(previous.login()).await?;
            everybody_goes_on(&totals).await?;
        }
        end.send_replace(true);
        Ok(())
    };
    tokio::try_join!(Box::pin(rotations), clients)?;
    for (language, totals) in Language::ALL.iter().zip(&totals) {
        let totals = totals.borrow();
        println!("{}: {:?}", language.driver(Engine::Postgres), *totals);
        assert_eq!(totals.failures, 0, "the first: {:?}", totals.failure);
        assert!(totals.connections > u64::from(ROTATIONS), "{totals:?}");
        assert!(totals.prepared > 0 && totals.queries > totals.prepared);
    }
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

/// Two rounds: one that began before now may end at once.
async fn everybody_goes_on(totals: &[watch::Sender<Totals>]) -> Result<()> {
    let before: Vec<u64> = totals.iter().map(|it| it.borrow().rounds).collect();
    wait_for("every client to play two rounds", async || {
        for (totals, before) in totals.iter().zip(&before) {
            let totals = totals.borrow();
            anyhow::ensure!(totals.rounds >= before + 2, "{totals:?}");
        }
        Ok(Some(()))
    })
    .await
}
