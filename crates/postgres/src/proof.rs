//! Proves that a DSN works before it is published: at the host that takes writes, and at every
//! other host that it names and that answers. A client that meets a host which does not know the
//! login yet is refused and asks no other (libpq's manual, section 34.1.1).

use std::time::{Duration, Instant};

use engine::{address::Endpoint, dsn::Dsn, names::RoleName, timeouts::Timeouts};
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};

use crate::{
    connect::{Purpose, open, open_endpoint, text},
    error::{Error, Kind},
    sql::sql,
};

/// Between two looks at a host that lags behind.
const PAUSE: Duration = Duration::from_millis(200);

/// Fresh connections with what the DSN says, and one statement on each that shows whether the
/// session runs as `expected`. Waits for standbys that lag behind, as long as for an answer.
pub async fn log_in(dsn: &Dsn, expected: &RoleName, timeouts: Timeouts) -> Result<(), Error> {
    let prove = async {
        let connection = open(dsn, Purpose::Proof, timeouts).await?;
        runs_as(connection, expected, timeouts).await?;
        if dsn.address.others.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + timeouts.answer();
        let timeouts = timeouts.shared_by(1 + dsn.address.others.len());
        for endpoint in dsn.address.endpoints() {
            follows(dsn, endpoint, expected, timeouts, deadline).await?;
        }
        Ok(())
    };
    let operation = || format!("logging in as {}", dsn.credential.login);
    prove
        .await
        .map_err(|kind: Kind| kind.at(&dsn.address, operation()))
}

async fn runs_as(
    mut connection: PgConnection,
    expected: &RoleName,
    timeouts: Timeouts,
) -> Result<(), Kind> {
    let question = sql!("SELECT current_user");
    let found = text(&mut connection, question, timeouts.answer()).await?;
    // The answer is what counts: a server that is slow to say goodbye proves no less.
    let _ = timeout(timeouts.connect, connection.close()).await;
    if found == expected.as_str() {
        return Ok(());
    }
    let expected = expected.to_string();
    Err(Kind::WrongRole { found, expected })
}

/// Waits until a host knows what the primary knows. A host that does not answer is passed over by
/// clients too.
async fn follows(
    dsn: &Dsn,
    endpoint: &Endpoint,
    expected: &RoleName,
    timeouts: Timeouts,
    deadline: Instant,
) -> Result<(), Kind> {
    loop {
        let proof = match open_endpoint(dsn, endpoint, Purpose::Proof, timeouts).await {
            Ok(connection) => runs_as(connection, expected, timeouts).await,
            Err(kind) => Err(kind),
        };
        let lags = matches!(
            proof,
            Err(Kind::RefusedLogin(_) | Kind::NoDatabase(_) | Kind::WrongRole { .. })
        );
        if !lags {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Kind::Lagging(endpoint.to_string()));
        }
        sleep(PAUSE).await;
    }
}
