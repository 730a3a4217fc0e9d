//! Connections of tokio-postgres. Reads the URI and the keyword form, `uri_dsn.txt` and `dsn.txt`.
//! Without TLS: where the DSN demands it, put a TLS connector in the place of `NoTls`.

use std::str::FromStr;

use hotload::{Connect, Malformed};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

pub(crate) struct TokioPostgres;

impl Connect for TokioPostgres {
    type Config = Config;
    type Connection = Client;
    type Error = tokio_postgres::Error;

    fn parse(&self, dsn: &SecretString) -> Result<Config, Malformed> {
        Config::from_str(dsn.expose_secret()).map_err(|_| Malformed("not a DSN of PostgreSQL"))
    }

    async fn connect(
        &self,
        config: &Config,
        cut: CancellationToken,
    ) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        // Ends with the client, or when the pool cuts it: then the client's work fails at once.
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                _ = connection => {}
            }
        });
        Ok(client)
    }

    async fn is_alive(&self, client: &mut Client) -> bool {
        client.simple_query("").await.is_ok()
    }
}
