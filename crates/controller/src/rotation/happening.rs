//! What a pass did, in words for Events.

use engine::{
    catalog::Session,
    names::{Login, RoleName},
    rotation::Cause,
};
use kube::Resource;

use crate::events::Events;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    Provisioned {
        database: String,
        secret: String,
    },
    TakenOver {
        login: String,
    },
    LeftoverRemoved {
        secret: String,
    },
    Rotated {
        login: Login,
        cause: Cause,
    },
    PasswordRestored {
        login: Login,
    },
    Repaired {
        what: Vec<String>,
    },
    RightsRepaired {
        missing: usize,
        excess: usize,
    },
    SecretRepaired,
    SecretRenamed {
        from: String,
        to: String,
    },
    FormerSecretRemoved {
        secret: String,
    },
    Deferred {
        login: Login,
        sessions: Vec<Session>,
    },
    SessionsEnded {
        login: Login,
    },
    Retired {
        logins: Vec<String>,
    },
    Revoked {
        generation: i64,
        login: Option<String>,
        sessions: Vec<Session>,
    },
    OwnerRenamed {
        from: String,
        to: String,
    },
    NotConfirmed {
        login: Login,
    },
    Elevated {
        role: RoleName,
    },
    Demoted {
        role: RoleName,
    },
}

/// At most so many addresses are named in one note.
const MAX_ADDRESSES: usize = 8;

impl Happening {
    pub(crate) fn is_warning(&self) -> bool {
        match self {
            Self::Repaired { .. }
            | Self::PasswordRestored { .. }
            | Self::RightsRepaired { .. }
            | Self::SecretRepaired
            | Self::Deferred { .. }
            | Self::SessionsEnded { .. }
            | Self::Revoked { .. }
            | Self::NotConfirmed { .. }
            | Self::Elevated { .. }
            | Self::Demoted { .. } => true,
            Self::Rotated { cause, .. } => {
                matches!(cause, Cause::SecretDeleted | Cause::SecretEdited)
            }
            Self::Provisioned { .. }
            | Self::TakenOver { .. }
            | Self::LeftoverRemoved { .. }
            | Self::SecretRenamed { .. }
            | Self::FormerSecretRemoved { .. }
            | Self::Retired { .. }
            | Self::OwnerRenamed { .. } => false,
        }
    }

    /// Writes an Event about the object, and a line of the log.
    pub(crate) async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, events: &Events) {
        let (reason, note) = (self.reason(), self.note());
        tracing::info!(reason, note, "{} changed", K::kind(&()));
        if self.is_warning() {
            events.warning(object, reason, &note).await;
        } else {
            events.normal(object, reason, &note).await;
        }
    }

    /// The Event's reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Provisioned { .. } => "Provisioned",
            Self::TakenOver { .. } => "TakenOver",
            Self::LeftoverRemoved { .. } => "LeftoverRemoved",
            Self::Rotated { cause, .. } => match cause {
                Cause::SecretDeleted => "SecretDeleted",
                Cause::SecretEdited => "SecretEdited",
                _ => "Rotated",
            },
            Self::PasswordRestored { .. } => "PasswordRestored",
            Self::Repaired { .. } => "ServerRepaired",
            Self::RightsRepaired { .. } => "RightsRepaired",
            Self::SecretRepaired => "SecretRepaired",
            Self::SecretRenamed { .. } => "SecretRenamed",
            Self::FormerSecretRemoved { .. } => "FormerSecretRemoved",
            Self::Deferred { .. } => "RotationDeferred",
            Self::SessionsEnded { .. } => "SessionsEnded",
            Self::Retired { .. } => "LoginRetired",
            Self::Revoked { .. } => "Revoked",
            Self::OwnerRenamed { .. } => "OwnerRenamed",
            Self::NotConfirmed { .. } => "NotConfirmed",
            Self::Elevated { .. } => "SuperUserGranted",
            Self::Demoted { .. } => "SuperUserRevoked",
        }
    }

    /// The Event's note.
    pub(crate) fn note(&self) -> String {
        match self {
            Self::Provisioned { database, secret } => {
                format!(
                    "database {database} is ready; its connection strings are in Secret {secret}"
                )
            }
            Self::TakenOver { login } => {
                format!("taken over as it was; login {login} stays published, nothing was changed")
            }
            Self::Rotated { login, cause } => {
                format!("login {login} is published now: {}", cause.sentence())
            }
            Self::LeftoverRemoved { secret } => {
                format!(
                    "Secret {secret}, in which the original controller kept the admin's password, was deleted"
                )
            }
            Self::PasswordRestored { login } => format!(
                "the server refused the published password of login {login} and got it again: it was changed on the server, or the role was dropped"
            ),
            Self::Repaired { what } => {
                format!("found on the server and repaired: {}", what.join("; "))
            }
            Self::RightsRepaired { missing, excess } => format!(
                "the rights in the database differed from the map: {missing} were missing, {excess} were too many"
            ),
            Self::SecretRepaired => {
                "the Secret differed from what is published and was written again".to_owned()
            }
            Self::SecretRenamed { from, to } => {
                format!(
                    "the connection strings are in Secret {to} now; those in Secret {from} work for one overlap more, and then it is deleted"
                )
            }
            Self::FormerSecretRemoved { secret } => {
                format!(
                    "the overlap is over: Secret {secret} of the earlier secretName was deleted"
                )
            }
            Self::Deferred { login, sessions } => format!(
                "the rotation waits: {} live sessions of the previous login {login} from {}",
                sessions.len(),
                addresses(sessions)
            ),
            Self::SessionsEnded { login } => {
                format!("maxOverlap is over: the sessions of the previous login {login} were ended")
            }
            Self::Retired { logins } => {
                format!(
                    "the overlap is over; no longer usable: {}",
                    logins.join(", ")
                )
            }
            Self::Revoked {
                generation,
                login,
                sessions,
            } => revoked(*generation, login.as_deref(), sessions),
            Self::OwnerRenamed { from, to } => {
                format!(
                    "owner role {from} is now {to}; logins of the old name work for one overlap more"
                )
            }
            Self::Elevated { role } => format!(
                "owner role {role} is a member of rds_superuser now and may make roles, as enableSuperUser asks: it has power over all of the server"
            ),
            Self::Demoted { role } => format!(
                "owner role {role} is no member of rds_superuser any more and may make no roles; what it gave to other roles meanwhile stays"
            ),
            Self::NotConfirmed { login } => format!(
                "the published password of login {login} was refused right after it was published, and was set again"
            ),
        }
    }
}

fn revoked(generation: i64, login: Option<&str>, sessions: &[Session]) -> String {
    let Some(login) = login else {
        return format!("credential {generation} is revoked: another had taken its place already");
    };
    let ended = match sessions.len() {
        0 => "nobody was logged in with it".to_owned(),
        1 => format!("1 session was ended, from {}", addresses(sessions)),
        count => format!("{count} sessions were ended, from {}", addresses(sessions)),
    };
    format!("credential {generation} is revoked: login {login} is shut; {ended}")
}

/// The distinct addresses of sessions, for people.
pub(crate) fn addresses(sessions: &[Session]) -> String {
    let mut all: Vec<&str> = sessions
        .iter()
        .map(|session| session.client.as_deref().unwrap_or("an unknown address"))
        .collect();
    all.sort_unstable();
    all.dedup();
    let more = all.len().saturating_sub(MAX_ADDRESSES);
    all.truncate(MAX_ADDRESSES);
    let list = all.join(", ");
    if more > 0 {
        format!("{list} and {more} more")
    } else {
        list
    }
}
