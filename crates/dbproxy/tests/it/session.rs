//! The rule of session mode: a client keeps its server connection while it has a transaction open;
//! after a switch, its connection is closed between two transactions, and its next one is as the
//! new login.

use anyhow::Result;
use sqlx::{Connection, Executor};
use testkit::postgres::{PostgresServer, connect};
use testkit::wait::wait_for;

use crate::proxy::{Claim, Dbproxy};

#[tokio::test]
async fn row_64_in_session_mode_open_transactions_end_as_they_began() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let first = claim.rotate().await?;
    let proxy = Dbproxy::ready(&first.url(), &[("DBPROXY_POOL_MODE", "session")]).await?;
    let mut client = connect(&proxy.client()).await?;
    // State of a session survives its transactions, as long as nothing is switched.
    client.execute("SET application_name = 'mine'").await?;
    client.execute("BEGIN").await?;
    client
        .execute("DO $$ BEGIN ASSERT current_setting('application_name') = 'mine'; END $$")
        .await?;
    for number in 2..=4 {
        proxy.publish(&claim.rotate().await?.url())?;
        let generation = f64::from(number);
        proxy
            .reaches("dbproxy_credential_generation", generation)
            .await?;
        client
            .execute("DO $$ BEGIN ASSERT session_user = 'clerk_a'; END $$")
            .await?;
    }
    client.execute("COMMIT").await?;
    // Announced: the connection is closed once nothing is open.
    wait_for("the client's connection to be closed", async || {
        Ok(client.ping().await.is_err().then_some(()))
    })
    .await?;
    assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_b");
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}
