//! Condition types, reasons, and the rule that a transition time moves only with the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Types of conditions. The first four are the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Type {
    Ready,
    Synced,
    NeedsMigrate,
    ConnectionIssue,
    /// A rotation is under way or deferred.
    Rotating,
    /// The claim works, and something that was asked for could not be done.
    Degraded,
    /// Something on the server differs from what was made there, and stays so for now.
    Drifted,
    /// The timer is stopped.
    Paused,
    /// Fields are set that have no effect here.
    FieldsIgnored,
    /// The claim works, in a way that lets others see what they should not.
    Insecure,
    /// Of a server: its admin's credential is replaced by a timer.
    AdminRotation,
    /// Of a server: somebody else changes its admin's credential too.
    Contested,
    /// Of a server: its log is watched for logins with retired credentials.
    Tripwire,
}

/// Reasons that are not those of an error class.
pub mod reason {
    pub const AVAILABLE: &str = "Available";
    pub const PROVISIONING: &str = "Provisioning";
    pub const DELETING: &str = "Deleting";
    pub const DEFERRED: &str = "Deferred";
    pub const THROTTLED: &str = "Throttled";
    pub const PAUSED: &str = "Paused";
    pub const RIGHTS_MISSING: &str = "RightsMissing";
    pub const EXTENSIONS_MISSING: &str = "ExtensionsMissing";
    pub const PASSWORD_IN_SPEC: &str = "PasswordInSpec";
    pub const NO_EFFECT: &str = "NoEffect";
    pub const SOURCE_ADOPTED: &str = "SourceAdopted";
    pub const OBSERVED: &str = "Observed";
    pub const NOT_REPAIRABLE: &str = "NotRepairable";
    pub const NO_CONSENT: &str = "NoConsent";
    pub const SECRET_CHANGED: &str = "SecretChanged";
    pub const PASSWORD_CHANGED: &str = "PasswordChanged";
    pub const OTHER_CONTROLLER: &str = "OtherController";
    pub const NO_LOG: &str = "NoLog";
    pub const NO_FUNCTION: &str = "NoFunction";
}

/// Messages that scripts match: the original's words.
pub mod message {
    pub const READY: &str = "Database successfully synchronized and ready for use";
    pub const SYNCED: &str = "Database is provisioned";
    pub const PROVISIONING: &str = "Database provisioning is in progress";
    pub const DELETING: &str = "Database deletion is in progress";
    pub const ISSUE: &str = "Reconciliation encountered an issue: ";
}

/// Sets a condition; `lastTransitionTime` moves only when the status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: Type,
    is_true: bool,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let name: &'static str = type_.into();
    let status = if is_true { "True" } else { "False" };
    let (message, reason) = (message.into(), reason.to_owned());
    if let Some(existing) = conditions
        .iter_mut()
        .find(|condition| condition.type_ == name)
    {
        if existing.status != status {
            status.clone_into(&mut existing.status);
            existing.last_transition_time = Time(now);
        }
        existing.reason = reason;
        existing.message = message;
        existing.observed_generation = generation;
        return;
    }
    conditions.push(Condition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    });
}

/// Removes a condition that says nothing any more.
pub fn clear(conditions: &mut Vec<Condition>, type_: Type) {
    let name: &'static str = type_.into();
    conditions.retain(|condition| condition.type_ != name);
}

pub fn find(conditions: &[Condition], type_: Type) -> Option<&Condition> {
    let name: &'static str = type_.into();
    conditions.iter().find(|condition| condition.type_ == name)
}

pub fn is_true(conditions: &[Condition], type_: Type) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        let [first, second, third] = [1, 2, 3].map(|s| Timestamp::from_second(s).unwrap());
        set(
            &mut conditions,
            Type::Ready,
            false,
            "Blocked",
            "a",
            Some(1),
            first,
        );
        set(
            &mut conditions,
            Type::Ready,
            false,
            "Forbidden",
            "b",
            Some(2),
            second,
        );
        assert_eq!(conditions[0].last_transition_time.0, first);
        assert_eq!(conditions[0].reason, "Forbidden");
        set(
            &mut conditions,
            Type::Ready,
            true,
            "Available",
            "c",
            Some(2),
            third,
        );
        assert_eq!(conditions[0].last_transition_time.0, third);
        assert_eq!(conditions.len(), 1);
    }
}
