//! The rotation protocol's pure parts; docs/architecture.md has its nine steps and their proof.

pub mod pick;

use strum::{EnumIter, IntoStaticStr};

/// The numbered steps of a rotation. Their names are those of logs, metrics and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Step {
    Pick,
    Check,
    Lock,
    Set,
    Verify,
    Publish,
    Confirm,
    Record,
    Retire,
}

/// Why a credential is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
pub enum Cause {
    /// Nothing was published before.
    FirstPublication,
    /// The period is over.
    Due,
    /// The rotate annotation has a new value.
    Requested,
    /// The Secret was deleted.
    SecretDeleted,
    /// The Secret was edited so that nothing in it logs in.
    SecretEdited,
    /// The claim's `userName` changed.
    OwnerRenamed,
    /// The revoke annotation names the published credential.
    Revoked,
}

impl Cause {
    /// Whether it can't wait for sessions: nothing that works is published, or nothing that may.
    pub fn is_urgent(self) -> bool {
        match self {
            Self::FirstPublication | Self::SecretDeleted | Self::SecretEdited | Self::Revoked => {
                true
            }
            Self::Due | Self::Requested | Self::OwnerRenamed => false,
        }
    }

    /// Whether it waits its turn where a server bounds the pace of rotations: what somebody planned
    /// does, what mends or ends something does not.
    pub fn takes_turns(self) -> bool {
        match self {
            Self::Due | Self::Requested => true,
            Self::FirstPublication
            | Self::SecretDeleted
            | Self::SecretEdited
            | Self::OwnerRenamed
            | Self::Revoked => false,
        }
    }

    /// In words, for Events.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::FirstPublication => "the first credential was published",
            Self::Due => "the rotation period was over",
            Self::Requested => "the rotate annotation asked for it",
            Self::SecretDeleted => "the Secret was deleted",
            Self::SecretEdited => "the Secret was edited and no longer logged in",
            Self::OwnerRenamed => "userName was changed",
            Self::Revoked => "the credential before it was revoked",
        }
    }
}
