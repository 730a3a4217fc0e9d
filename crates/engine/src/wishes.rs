//! What a claim asks for, with every default filled in: the input of `decide` that users control.

mod access;
mod bounds;
mod of_admin;
mod of_claim;
mod of_role_claim;
mod secret_shape;

use std::time::Duration;

use api::names::label;

pub use self::{
    access::{Access, Accounts, RoleWish},
    bounds::Bounds,
    of_claim::{Error, deletes},
    of_role_claim::role_claim_logins,
    secret_shape::SecretShape,
};
use crate::{
    address::Engine,
    asked::Asked,
    catalog::Question,
    mark::Mark,
    names::{DatabaseName, Login, LoginPair, RoleName},
    password::Policy,
    share::Share,
};

/// What publishes a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    Claim,
    RoleClaim,
    /// A DatabaseServer, for its admin's credential.
    Server,
}

impl ClaimKind {
    /// What the label `managed-by` of its Secret says.
    pub fn manager(self) -> &'static str {
        match self {
            Self::Claim => label::CLAIM_MANAGER,
            Self::RoleClaim => label::ROLE_CLAIM_MANAGER,
            Self::Server => label::SERVER_MANAGER,
        }
    }
}

/// A claim or role claim, as it is named in marks, Secrets and logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimId {
    pub kind: ClaimKind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl ClaimId {
    pub fn mark(&self) -> Mark {
        Mark::new(self.title(), &self.uid)
    }

    /// As marks and errors name it: a claim and a role claim may have one name.
    fn title(&self) -> String {
        let name = format!("{}/{}", self.namespace, self.name);
        match self.kind {
            ClaimKind::Claim => name,
            ClaimKind::RoleClaim => format!("dbroleclaim:{name}"),
            ClaimKind::Server => format!("databaseserver:{name}"),
        }
    }

    /// The key of the lock that every controller takes on the server before it changes anything
    /// of this claim. Of its name, not its UID: a claim that was made again has the same roles.
    pub fn lock_key(&self) -> i64 {
        crate::schedule::stable_hash(&self.title()).cast_signed()
    }
}

/// When and how the credential is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    pub period: Duration,
    /// How long the previous login stays usable; `None`: until the next rotation takes it.
    pub overlap: Option<Duration>,
    /// How long live sessions may defer a rotation; `None`: for ever.
    pub max_overlap: Option<Duration>,
    pub is_paused: bool,
    pub asked: Asked,
}

/// How the claim's database came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It exists and belongs to somebody: the claim gets rights on it.
    Adopt,
    /// The claim makes it on a server and owns it.
    Create,
    /// It is another claim's: the role claim gets a part of it.
    Share,
    /// It is where the admin is at home.
    Administer,
}

/// What becomes of differences between the server and what was made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftPolicy {
    Repair,
    Observe,
}

impl DriftPolicy {
    /// As a spec has it; unset means repair.
    fn of(word: Option<&str>) -> Self {
        match word {
            Some(api::claim::OBSERVE) => Self::Observe,
            _ => Self::Repair,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    pub claim: ClaimId,
    pub mode: Mode,
    pub role: RoleName,
    /// The name that the owner role still has on the server, where `userName` was changed.
    pub renamed_from: Option<RoleName>,
    /// All earlier names whose logins are not dropped yet.
    pub former_roles: Vec<RoleName>,
    pub timing: Timing,
    pub extensions: Vec<String>,
    /// Whether the claim itself listed them: then a missing one is reported.
    pub are_extensions_explicit: bool,
    /// What a superuser's power may create for this claim; `None` where the admin is the tenant's.
    pub permitted_extensions: Option<Vec<String>>,
    /// `schema`, `name`, `value` of each system function (compatibility 8.5).
    pub system_functions: Vec<SystemFunction>,
    pub wants_replication: bool,
    /// Whether the owner role is to have the power of `rds_superuser`.
    pub elevation: Elevation,
    /// What the server grants at most; `None` where the admin is the tenant's.
    pub bounds: Option<Bounds>,
    pub password: Policy,
    pub secret: SecretShape,
    pub engine: Engine,
    /// MongoDB: what the logins may do.
    pub access: Access,
    /// PostgreSQL, of a role claim: what it may do, schema by schema.
    pub share: Option<Share>,
    pub drift: DriftPolicy,
}

/// What becomes of an owner role's power over other roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elevation {
    /// It is asked for, and the operator allows it.
    Granted,
    /// The role is the claim's, and must not have it.
    Denied,
    /// The role is a tenant's own: what it may do is not ours to say.
    NotOurs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFunction {
    pub schema: String,
    pub name: String,
    pub value: String,
}

impl SystemFunction {
    /// `prefix_name: value` is `prefix.name()`; the text before the first `_` is the schema.
    pub fn of_key(key: &str, value: &str) -> Option<Self> {
        let (schema, name) = key.split_once('_')?;
        (!schema.is_empty() && !name.is_empty()).then(|| Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Wishes {
    /// The question that tells everything about the claim's roles and database.
    pub fn question(&self, database: &DatabaseName) -> Question {
        let mut roles = vec![self.role.to_string()];
        let mut logins: Vec<Login> = self.logins().both().map(Clone::clone).to_vec();
        roles.extend(self.renamed_from.iter().map(ToString::to_string));
        logins.extend(self.former_logins().flat_map(|pair| [pair.a, pair.b]));
        roles.extend(logins.iter().map(ToString::to_string));
        roles.extend(self.share.iter().flat_map(Share::candidates));
        let copies = self.access.auth_databases(database).into_iter().skip(1);
        Question {
            roles,
            logins,
            database: database.clone(),
            others: self.access.others.clone(),
            copies: copies.chain(self.access.left_databases(database)).collect(),
        }
    }

    /// What a login's comment says once it is as wished.
    pub fn login_mark(&self) -> Mark {
        let quotas = self.bounds.as_ref().map(|bounds| &bounds.quotas);
        let limit = quotas.and_then(|quotas| quotas.max_connections_per_login);
        let is_limited = limit.is_some() && self.engine == Engine::Postgres;
        self.claim.mark().limited(is_limited)
    }

    pub fn logins(&self) -> LoginPair {
        LoginPair::of_role(&self.role)
    }

    /// The logins of earlier names.
    pub fn former_logins(&self) -> impl Iterator<Item = LoginPair> {
        self.former_roles.iter().map(LoginPair::of_role)
    }
}
