//! Connections of sqlx. Reads the URI form, the key `uri_dsn.txt` of the Secret.

use std::str::FromStr;

use hotload::{Connect, Malformed};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio_util::sync::CancellationToken;

pub(crate) struct Sqlx;

impl Connect for Sqlx {
    type Config = PgConnectOptions;
    type Connection = PgConnection;
    type Error = sqlx::Error;

    fn parse(&self, dsn: &SecretString) -> Result<PgConnectOptions, Malformed> {
        PgConnectOptions::from_str(dsn.expose_secret())
            .map_err(|_| Malformed("not a postgres:// URI"))
    }

    async fn connect(
        &self,
        config: &PgConnectOptions,
        _cut: CancellationToken,
    ) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(config).await
    }

    async fn is_alive(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }
}
