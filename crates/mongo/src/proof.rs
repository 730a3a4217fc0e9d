//! Proves that a DSN works before it is published: with its own text, and at every member that
//! clients may be sent to. A member that lags behind refuses a login that the others know.

use std::time::Duration;

use engine::{dsn::Dsn, timeouts::Timeouts};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::{
    connect::{Connection, Options, Purpose},
    error::{Error, Kind},
    members,
};

/// Between two looks at a member that lags behind.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a member may lag behind.
const PATIENCE: Duration = Duration::from_mins(1);

/// Fresh connections with what the DSN says. Waits for members that lag behind; one that cannot be
/// reached, or gives no data to anybody, is passed over, as clients pass over it.
pub async fn log_in(dsn: &Dsn, timeouts: Timeouts) -> Result<(), Error> {
    let operation = || format!("logging in as {}", dsn.credential.login);
    prove(dsn, timeouts)
        .await
        .map_err(|kind| kind.at(&dsn.address, operation()))
}

async fn prove(dsn: &Dsn, timeouts: Timeouts) -> Result<(), Kind> {
    let options = Options::of(dsn, Purpose::Proof, timeouts).await?;
    let direct = options.clone();
    let connection = options.open()?;
    let outcome = async {
        is_logged_in(dsn, &connection, timeouts).await?;
        members::of(&connection, timeouts.answer()).await
    };
    let outcome = outcome.await;
    connection.close(timeouts.connect).await;
    let members = outcome?;
    if dsn.address.parameter("directConnection") == Some("true") {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    let each = members.all().iter();
    let each = each.map(|member| follows(dsn, &direct, member, timeouts, deadline));
    try_join_all(each).await.map(drop)
}

async fn is_logged_in(dsn: &Dsn, connection: &Connection, timeouts: Timeouts) -> Result<(), Kind> {
    let status = connection.status(timeouts.answer()).await?;
    let users = status.get_array("authenticatedUsers").ok();
    let mut users = users.into_iter().flatten();
    let name = dsn.credential.login.as_str();
    let is_it = |user: &mongodb::bson::Bson| {
        user.as_document()
            .is_some_and(|user| user.get_str("user").is_ok_and(|user| user == name))
    };
    if users.any(is_it) {
        Ok(())
    } else {
        Err(Kind::RefusedLogin)
    }
}

/// Waits until a member knows what the primary knows.
async fn follows(
    dsn: &Dsn,
    direct: &Options,
    member: &str,
    timeouts: Timeouts,
    deadline: Instant,
) -> Result<(), Kind> {
    loop {
        let connection = direct.direct(member)?.open()?;
        let outcome = is_logged_in(dsn, &connection, timeouts).await;
        connection.close(timeouts.connect).await;
        if !matches!(outcome, Err(Kind::RefusedLogin)) || !serves(direct, member, timeouts).await {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Kind::Lagging(member.to_owned()));
        }
        sleep(PAUSE).await;
    }
}

/// Whether clients are sent to a member. Asked without a login, which it may not know yet.
async fn serves(direct: &Options, member: &str, timeouts: Timeouts) -> bool {
    let Ok(connection) = direct
        .direct(member)
        .and_then(|options| options.anonymous().open())
    else {
        return false;
    };
    let hello = members::hello(&connection, timeouts.answer()).await;
    connection.close(timeouts.connect).await;
    hello.is_ok_and(|hello| members::serves(&hello))
}
