//! SIGTERM: what is under way may end, up to a deadline, and the exit code tells.

use anyhow::Result;
use sqlx::{Connection, Executor};
use testkit::postgres::{PostgresServer, connect};
use testkit::wait::wait_for;

use crate::proxy::{Claim, Dbproxy};

#[tokio::test]
async fn row_66_a_running_transaction_ends_by_itself() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let dsn = Claim::new(&server).await?.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[("DBPROXY_DRAIN_SECONDS", "120")]).await?;
    let mut client = connect(&proxy.client()).await?;
    client.execute("BEGIN").await?;
    let stopped = proxy.process.stop();
    let work = async {
        wait_for("dbproxy to be stopping", async || {
            Ok((!proxy.is_ready().await).then_some(()))
        })
        .await?;
        // Others of the same pod still get their last word in, too.
        assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_a");
        client.execute("SELECT 1").await?;
        client.execute("COMMIT").await?;
        client.close().await?;
        Ok(())
    };
    let (status, ()) = tokio::try_join!(stopped, work)?;
    assert!(status.success(), "{status}");
    server.stop().await
}

#[tokio::test]
async fn row_66_a_transaction_cut_at_the_deadline_shows_in_the_exit_code() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let dsn = Claim::new(&server).await?.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[("DBPROXY_DRAIN_SECONDS", "0")]).await?;
    let mut client = connect(&proxy.client()).await?;
    client.execute("BEGIN").await?;
    let status = proxy.process.stop().await?;
    assert_eq!(status.code(), Some(1));
    assert!(client.execute("COMMIT").await.is_err());
    server.stop().await
}
