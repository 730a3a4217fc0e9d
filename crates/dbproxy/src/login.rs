//! Tries a credential: one login, directly at the server, as PgBouncer will make it. One of the few
//! places that see the password. Runs no statement: being let in is the answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::credentials::Verdict;
use crate::dsn::{SslMode, Upstream};

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the server does not take the credential")]
    Refused(#[source] sqlx::Error),
    #[error("the server could not be asked")]
    Unavailable(#[source] sqlx::Error),
    #[error("the server did not answer within {TIMEOUT:?}")]
    TimedOut,
}

impl Error {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Refused(_) => Verdict::Refused,
            Self::Unavailable(_) | Self::TimedOut => Verdict::Unavailable,
        }
    }
}

/// Logs in and out again. `ca` vouches for the server; without it the system's bundle does.
pub(crate) async fn attempt(upstream: &Upstream, ca: Option<&PathBuf>) -> Result<(), Error> {
    let once = async |mode: PgSslMode| {
        let options = options(upstream, mode, ca);
        let connection = timeout(TIMEOUT, options.connect()).await;
        let connection = connection.map_err(|_| Error::TimedOut)?;
        leave(connection.map_err(classified)?).await;
        Ok(())
    };
    match upstream.ssl_mode {
        SslMode::Disable => once(PgSslMode::Disable).await,
        // The driver has no `allow`: plain first, and TLS where the server insists on it.
        SslMode::Allow => match once(PgSslMode::Disable).await {
            Err(Error::Refused(_)) => once(PgSslMode::Require).await,
            outcome => outcome,
        },
        SslMode::Prefer => once(PgSslMode::Prefer).await,
        SslMode::Require => once(PgSslMode::Require).await,
        SslMode::VerifyCa => once(PgSslMode::VerifyCa).await,
        SslMode::VerifyFull => once(PgSslMode::VerifyFull).await,
    }
}

/// Whatever the server makes of the goodbye, it let us in.
async fn leave(connection: PgConnection) {
    let _ = timeout(TIMEOUT, connection.close()).await;
}

/// Never formatted: the driver's `Debug` prints the password.
fn options(upstream: &Upstream, mode: PgSslMode, ca: Option<&PathBuf>) -> PgConnectOptions {
    let Upstream {
        host,
        port,
        database,
        login,
        password,
        ssl_mode: _,
    } = upstream;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(*port)
        .username(login)
        .database(database)
        .ssl_mode(mode)
        .application_name("dbproxy")
        // Poolers refuse startup parameters that they do not know.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    if let Some(password) = password {
        options = options.password(password.expose_secret());
    }
    match ca {
        Some(ca) => options.ssl_root_cert(ca),
        None => options,
    }
}

/// A server that says no means this credential; one that is full or starting means everybody.
fn classified(err: sqlx::Error) -> Error {
    let is_refusal = match &err {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // Authorization, catalog name, insufficient privilege.
            code.starts_with("28") || code.starts_with("3D") || code == "42501"
        }
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => true,
        _ => false,
    };
    if is_refusal {
        Error::Refused(err)
    } else {
        Error::Unavailable(err)
    }
}

/// Where distributions keep the authorities that everybody trusts.
const SYSTEM_BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Who vouches for the server, if it must be verified: `ca.crt` beside the DSN, as the Secret may
/// hold it, else the system's bundle.
pub(crate) fn ca_for(mode: SslMode, dsn_file: &Path) -> Option<PathBuf> {
    if !matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        return None;
    }
    let beside = dsn_file.with_file_name("ca.crt");
    let bundles = SYSTEM_BUNDLES.map(PathBuf::from);
    std::iter::once(beside)
        .chain(bundles)
        .find(|path| path.is_file())
}
