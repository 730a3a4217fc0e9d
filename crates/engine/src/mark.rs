//! The mark that says whose a role or database is: a comment on the object, kept in the server's
//! shared catalog, so that it survives the controller and is seen by every controller.
//! It names objects of Kubernetes and versions, never a secret.

use std::fmt;

const PREFIX: &str = "db-controller";

/// How the marks of role claims' own roles begin.
pub const OF_ROLE_CLAIMS: &str = "db-controller claim=dbroleclaim:";

/// Who owns a role or a database, and what was being done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent words of a comment"
)]
pub struct Mark {
    /// `namespace/name` of the claim.
    pub claim: String,
    pub uid: String,
    /// On the owner role: a database of the claim's name was absent and is being created.
    pub creating: bool,
    /// On the owner role: it was there before the claim, and outlives it.
    pub adopted: bool,
    /// On the owner role: it was there before this controller, which took it over with its claim.
    pub found: bool,
    /// On a role that carries what role claims may do in one schema of this claim's database.
    pub schema: bool,
    /// On a login: its connection limit is ours, and nobody else's to keep.
    pub limited: bool,
    /// On a login: the version of the Secret on which the last change of its password was based.
    /// A stored Secret of that same version means that the attempt was never published.
    pub attempt: Option<String>,
}

impl Mark {
    pub fn new(claim: impl Into<String>, uid: impl Into<String>) -> Self {
        Self {
            claim: claim.into(),
            uid: uid.into(),
            creating: false,
            adopted: false,
            found: false,
            schema: false,
            limited: false,
            attempt: None,
        }
    }

    pub fn schema(self) -> Self {
        Self {
            schema: true,
            ..self
        }
    }

    pub fn creating(self) -> Self {
        Self {
            creating: true,
            ..self
        }
    }

    pub fn adopted(self) -> Self {
        Self {
            adopted: true,
            ..self
        }
    }

    pub fn found(self) -> Self {
        Self {
            found: true,
            ..self
        }
    }

    /// Whether the login's connection limit is ours.
    pub fn limited(self, limited: bool) -> Self {
        Self { limited, ..self }
    }

    pub fn attempt(self, base: impl Into<String>) -> Self {
        Self {
            attempt: Some(base.into()),
            ..self
        }
    }

    /// Reads a comment; `None` for a comment that is not ours.
    pub fn parse(comment: &str) -> Option<Self> {
        let mut words = comment.split(' ');
        if words.next() != Some(PREFIX) {
            return None;
        }
        let (mut claim, mut uid, mut attempt) = (None, None, None);
        let (mut creating, mut adopted, mut found, mut schema) = (false, false, false, false);
        let mut limited = false;
        for word in words {
            match word.split_once('=') {
                Some(("claim", value)) => claim = Some(value.to_owned()),
                Some(("uid", value)) => uid = Some(value.to_owned()),
                Some(("attempt", value)) => attempt = Some(value.to_owned()),
                None if word == "creating" => creating = true,
                None if word == "adopted" => adopted = true,
                None if word == "found" => found = true,
                None if word == "schema" => schema = true,
                None if word == "limited" => limited = true,
                _ => {}
            }
        }
        Some(Self {
            claim: claim?,
            uid: uid?,
            creating,
            adopted,
            found,
            schema,
            limited,
            attempt,
        })
    }

    /// Whether both marks name the same claim. A claim that was deleted and made again under its
    /// old name has another UID and is still the same claim: one tenant, one name.
    pub fn same_claim(&self, other: &Self) -> bool {
        self.uid == other.uid || self.claim == other.claim
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            claim,
            uid,
            creating,
            adopted,
            found,
            schema,
            limited,
            attempt,
        } = self;
        write!(f, "{PREFIX} claim={claim} uid={uid}")?;
        if *creating {
            f.write_str(" creating")?;
        }
        if *adopted {
            f.write_str(" adopted")?;
        }
        if *found {
            f.write_str(" found")?;
        }
        if *schema {
            f.write_str(" schema")?;
        }
        if *limited {
            f.write_str(" limited")?;
        }
        if let Some(base) = attempt {
            write!(f, " attempt={base}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wishes::{ClaimId, ClaimKind};

    #[test]
    fn a_mark_survives_its_comment() {
        let mark = Mark::new("shop/orders", "0f3a");
        let login = mark.clone().limited(true);
        for mark in [mark.creating().found().attempt("17"), login.attempt("17")] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn a_role_claims_mark_is_known_by_its_beginning() {
        let claim = ClaimId {
            kind: ClaimKind::RoleClaim,
            namespace: "shop".to_owned(),
            name: "reports".to_owned(),
            uid: "0f3a".to_owned(),
        };
        assert!(claim.mark().to_string().starts_with(OF_ROLE_CLAIMS));
    }

    #[test]
    fn a_foreign_comment_is_no_mark() {
        for comment in [
            "",
            "owned by ops",
            "db-controller",
            "db-controllerx claim=a uid=b",
        ] {
            assert_eq!(Mark::parse(comment), None, "{comment}");
        }
    }
}
