//! What a server's status and Events say of its admin's credential.

use api::{
    conditions::{self, Type, reason},
    server::{DatabaseServer, DatabaseServerStatus, RotatedAdmin},
};
use engine::{ErrorClass, decide::Refusal, rotation::Cause};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{admin::Kept, initial::Initial};
use crate::{
    context::Context,
    error::{Error, chain},
    rotation::{Happening, addresses, record},
};

/// Writes into `status` what became of the credential; `None` where nobody looked at it.
pub(super) fn say(
    status: &mut DatabaseServerStatus,
    server: &DatabaseServer,
    kept: Option<&Result<Kept, Error>>,
    now: Timestamp,
) {
    let generation = server.metadata.generation;
    let all = &mut status.conditions;
    if server.spec.admin_rotation.is_none() {
        conditions::clear(all, Type::AdminRotation);
        conditions::clear(all, Type::Contested);
        if let Some(rotation) = &mut status.rotation {
            rotation.next_rotation_at = None;
        }
        return;
    }
    let Some(kept) = kept else { return };
    let (is_true, reason, message) = rotation(kept);
    let type_ = Type::AdminRotation;
    conditions::set(all, type_, is_true, reason, message, generation, now);
    if let Some((reason, message)) = contest(kept) {
        conditions::set(all, Type::Contested, true, reason, message, generation, now);
    } else if is_undisturbed(kept) || kept.is_ok() && is_twin(all) {
        conditions::clear(all, Type::Contested);
    }
    if let Ok(kept) = kept {
        status.admin_secret = Some(kept.secret.clone());
        status.initial_login_shut = match &kept.initial {
            Initial::Shut(login) => Some(login.clone()),
            Initial::Open(_) => None,
        };
        status.rotation = Some(record::rotation(
            status.rotation.as_ref(),
            &kept.published,
            &kept.retired,
            kept.due,
        ));
    }
}

fn rotation(kept: &Result<Kept, Error>) -> (bool, &'static str, String) {
    let kept = match kept {
        Ok(kept) => kept,
        Err(err) => return (false, err.class().reason(), chain(err)),
    };
    if let Some((reason, message)) = record::rotating(&kept.published) {
        return (false, reason, message);
    }
    let RotatedAdmin {
        namespace, name, ..
    } = &kept.secret;
    let mut message = format!("Secret {namespace}/{name} has the admin's credential");
    if let Initial::Open(Some(why)) = &kept.initial {
        message.push_str("; the login of adminSecretRef still has its password: ");
        message.push_str(why);
    }
    (true, reason::AVAILABLE, message)
}

/// Whether the contest that is told of was about another DatabaseServer's logins.
fn is_twin(conditions: &[Condition]) -> bool {
    let told = conditions::find(conditions, Type::Contested);
    told.is_some_and(|told| told.reason == reason::OTHER_CONTROLLER)
}

/// Who else changes the credential, as far as it shows.
fn contest(kept: &Result<Kept, Error>) -> Option<(&'static str, String)> {
    let kept = match kept {
        Ok(kept) => kept,
        Err(Error::Refused(refusal @ Refusal::AdminLogin { .. })) => {
            return Some((reason::OTHER_CONTROLLER, refusal.to_string()));
        }
        Err(_) => return None,
    };
    let secret = format!("Secret {}/{}", kept.secret.namespace, kept.secret.name);
    kept.happenings.iter().find_map(|happening| match happening {
        Happening::PasswordRestored { login } => {
            let from = match kept.sessions.as_slice() {
                [] => "nobody else is logged in with the admin's logins".to_owned(),
                sessions => format!(
                    "logged in with the admin's logins were {}",
                    addresses(sessions)
                ),
            };
            let message = format!(
                "the server refused the password of login {login} that {secret} holds: somebody else had set another one; it was set again; {from}"
            );
            Some((reason::PASSWORD_CHANGED, message))
        }
        Happening::SecretRepaired
        | Happening::Rotated {
            cause: Cause::SecretEdited | Cause::SecretDeleted,
            ..
        } => {
            let by = if kept.writers.is_empty() {
                "somebody who did not say who it was".to_owned()
            } else {
                let names: Vec<_> = kept.writers.iter().map(String::as_str).collect();
                names.join(", ")
            };
            let message = format!("{secret} was changed by {by}, and was put right");
            Some((reason::SECRET_CHANGED, message))
        }
        _ => None,
    })
}

/// Whether a rotation went through that nobody disturbed: then a contest is over.
fn is_undisturbed(kept: &Result<Kept, Error>) -> bool {
    let is_planned = |happening: &Happening| {
        matches!(
            happening,
            Happening::Rotated {
                cause: Cause::Due | Cause::Requested,
                ..
            }
        )
    };
    kept.as_ref()
        .is_ok_and(|kept| kept.happenings.iter().any(is_planned))
}

/// Events for what happened.
pub(super) async fn tell(
    context: &Context,
    server: &DatabaseServer,
    kept: Option<&Result<Kept, Error>>,
) {
    let events = &context.events;
    let kept = match kept {
        Some(Ok(kept)) => kept,
        Some(Err(err)) if err.class() != ErrorClass::Conflict => {
            let status = server.status.clone().unwrap_or_default();
            let before = conditions::find(&status.conditions, Type::AdminRotation);
            let message = chain(err);
            if before.is_none_or(|before| before.message != message) {
                let reason = err.class().reason();
                events.warning(server, reason, &message).await;
            }
            return;
        }
        _ => return,
    };
    for happening in &kept.happenings {
        happening.tell(server, events).await;
    }
}
