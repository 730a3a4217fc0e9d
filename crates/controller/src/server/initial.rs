//! The end of the login that the operator gave: it loses its password when both others have been
//! published and nobody is logged in with it. The server keeps no record of that which an admin may
//! read, so status says whether it was done.

use std::time::Duration;

use api::server::DatabaseServer;
use engine::{catalog::Question, names::Login, place, rotation::Cause, schedule, step::ServerStep};
use jiff::Timestamp;

use super::keeper::Keeper;
use crate::{
    claim::initial_dsn,
    context::Context,
    engines::Locked,
    error::{Error, chain},
    rotation::{Happening, Pass},
};

/// For so long after a rotation it is tried often; sessions that the controller left idle are closed
/// within half a minute.
const SOON: Duration = Duration::from_mins(5);

/// What became of the operator's login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Initial {
    /// Nobody logs in with its password any more.
    Shut(String),
    /// It works; the text says why still, where that is not as it should be.
    Open(Option<String>),
}

/// Whether both logins had their turn, and the operator's still has its password.
fn waits(server: &DatabaseServer) -> bool {
    const BOTH: i64 = 2;
    let status = server.status.as_ref();
    let rotation = status.and_then(|status| status.rotation.as_ref());
    let is_shut = status.is_some_and(|status| status.initial_login_shut.is_some());
    rotation.is_some_and(|rotation| rotation.generation >= BOTH) && !is_shut
}

/// The same, soon after a rotation: later it is tried with each look.
pub(super) fn is_about_to_be_shut(server: &DatabaseServer, now: Timestamp) -> bool {
    let status = server.status.as_ref();
    let rotation = status.and_then(|status| status.rotation.as_ref());
    let rotated_at = rotation.and_then(|rotation| rotation.last_rotation_at);
    let is_new = rotated_at.is_some_and(|at| schedule::after(at, SOON) > now);
    is_new && waits(server)
}

impl Pass<'_, Keeper<'_>> {
    pub(super) async fn shut_initial(
        &mut self,
        session: &mut Locked,
        place: &place::Server,
    ) -> Initial {
        let logins = self.wishes.logins();
        let entered = self.target.admin.credential.login.as_str();
        let is_rotated = logins.contains(entered);
        let status = self.subject.server.status.as_ref();
        match status.and_then(|status| status.initial_login_shut.clone()) {
            // The operator may have given it a password again.
            Some(_) if !is_rotated || self.begins_afresh() => return Initial::Open(None),
            Some(shut) => return Initial::Shut(shut),
            None => {}
        }
        if !waits(self.subject.server) {
            return Initial::Open(None);
        }
        match self.disarm(session, place).await {
            Ok(initial) => initial,
            Err(err) => Initial::Open(Some(chain(&err))),
        }
    }

    /// Whether this pass published without the former Secret.
    fn begins_afresh(&self) -> bool {
        self.happenings.iter().any(|happening| match happening {
            Happening::Provisioned { .. } => true,
            Happening::Rotated { cause, .. } => {
                matches!(cause, Cause::SecretDeleted | Cause::SecretEdited)
            }
            _ => false,
        })
    }

    async fn disarm(
        &mut self,
        session: &mut Locked,
        place: &place::Server,
    ) -> Result<Initial, Error> {
        let login = initial_login(self.context, place).await?;
        if self.wishes.logins().contains(login.as_str()) {
            return Ok(Initial::Shut(login.to_string()));
        }
        let question = Question {
            roles: vec![login.to_string()],
            logins: vec![login.clone()],
            ..self.wishes.question(self.target.database)
        };
        let catalog = session.observe(&question).await?;
        if catalog.sessions.iter().any(|it| it.login == login) {
            let why = format!("somebody is logged in as {login}");
            return Ok(Initial::Open(Some(why)));
        }
        let disarming = [ServerStep::Disarm {
            login: login.clone(),
        }];
        self.change(session, &disarming, &catalog).await?;
        let logins = vec![login.to_string()];
        self.happenings.push(Happening::Retired { logins });
        Ok(Initial::Shut(login.to_string()))
    }
}

async fn initial_login(context: &Context, place: &place::Server) -> Result<Login, Error> {
    Ok(initial_dsn(context, place).await?.credential.login)
}
