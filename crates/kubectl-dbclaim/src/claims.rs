//! What the commands tell of a claim or role claim: read once, printed as text or JSON.

use anyhow::{Context, Result};
use api::claim::{DatabaseClaim, Inspection, RotationStatus};
use api::conditions::{self, Type};
use api::role_claim::DbRoleClaim;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

use crate::cluster::Cluster;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Claim,
    Role,
}

/// One object in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) class: String,
    /// `None` where no controller has said anything yet.
    pub(crate) ready: Option<bool>,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) secret: String,
    /// The login that the Secret names.
    pub(crate) login: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) rotated_at: Option<Timestamp>,
    pub(crate) next_rotation_at: Option<Timestamp>,
    pub(crate) is_paused: bool,
    /// Role claims: the claim that they share.
    pub(crate) source: Option<String>,
}

impl Summary {
    pub(crate) fn of_claim(claim: &DatabaseClaim) -> Self {
        let status = claim.status.clone().unwrap_or_default();
        let rotation = status.rotation.unwrap_or_default();
        let wish = claim.spec.rotation.as_ref();
        Self {
            namespace: claim.namespace().unwrap_or_default(),
            name: claim.name_any(),
            kind: Kind::Claim,
            class: claim.class().to_owned(),
            secret: claim.secret_name().to_owned(),
            login: rotation.current_login,
            generation: Some(rotation.generation).filter(|generation| *generation > 0),
            rotated_at: rotation.last_rotation_at,
            next_rotation_at: rotation.next_rotation_at,
            is_paused: wish.is_some_and(|wish| wish.paused == Some(true)),
            source: None,
            ..Self::said(&status.conditions)
        }
    }

    pub(crate) fn of_role_claim(claim: &DbRoleClaim) -> Self {
        let status = claim.status.clone().unwrap_or_default();
        let source = &claim.spec.source_database_claim;
        let rotation = status.rotation;
        Self {
            namespace: claim.namespace().unwrap_or_default(),
            name: claim.name_any(),
            kind: Kind::Role,
            class: claim.class().to_owned(),
            secret: claim.secret_name().to_owned(),
            login: status.username,
            generation: rotation.as_ref().map(|rotation| rotation.generation),
            rotated_at: status.secret_updated_at,
            next_rotation_at: rotation.and_then(|rotation| rotation.next_rotation_at),
            is_paused: conditions::is_true(&status.conditions, Type::Paused),
            source: Some(format!("{}/{}", source.namespace, source.name)),
            ..Self::said(&status.conditions)
        }
    }

    fn said(all: &[Condition]) -> Self {
        let ready = conditions::find(all, Type::Ready);
        Self {
            namespace: String::new(),
            name: String::new(),
            kind: Kind::Claim,
            class: String::new(),
            ready: ready.map(|ready| ready.status == "True"),
            reason: ready.map(|ready| ready.reason.clone()),
            message: ready.map(|ready| ready.message.clone()),
            secret: String::new(),
            login: None,
            generation: None,
            rotated_at: None,
            next_rotation_at: None,
            is_paused: false,
            source: None,
        }
    }

    /// What people should know of it in one line.
    pub(crate) fn remark(&self) -> String {
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        match (self.ready, &self.source) {
            (None, _) => format!("no controller of class {} has seen it yet", self.class),
            (Some(false), _) => format!(
                "{}: {}",
                words(&self.reason),
                without_opening(&words(&self.message))
            ),
            (Some(true), Some(source)) => format!("shares {source}"),
            (Some(true), None) if self.is_paused => "paused".to_owned(),
            (Some(true), None) => String::new(),
        }
    }
}

/// Every message of a failure begins alike, for the scripts of the original's users.
pub(crate) fn without_opening(message: &str) -> &str {
    message
        .strip_prefix(conditions::message::ISSUE)
        .unwrap_or(message)
}

/// A claim or a role claim, whichever has the name.
pub(crate) enum Found {
    Claim(Box<DatabaseClaim>),
    Role(Box<DbRoleClaim>),
}

impl Found {
    pub(crate) fn summary(&self) -> Summary {
        match self {
            Self::Claim(claim) => Summary::of_claim(claim),
            Self::Role(role_claim) => Summary::of_role_claim(role_claim),
        }
    }

    /// What people call its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Role(_) => "role claim",
        }
    }

    pub(crate) fn rotation(&self) -> RotationStatus {
        let rotation = match self {
            Self::Claim(claim) => claim.status.as_ref().and_then(|it| it.rotation.clone()),
            Self::Role(claim) => claim.status.as_ref().and_then(|it| it.rotation.clone()),
        };
        rotation.unwrap_or_default()
    }

    /// The last answer to the inspect annotation.
    pub(crate) fn inspection(&self) -> Option<&Inspection> {
        match self {
            Self::Claim(claim) => claim.status.as_ref()?.inspection.as_deref(),
            Self::Role(claim) => claim.status.as_ref()?.inspection.as_deref(),
        }
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        match self {
            Self::Claim(claim) => claim.status.as_ref().map_or(&[], |it| &it.conditions),
            Self::Role(claim) => claim.status.as_ref().map_or(&[], |it| &it.conditions),
        }
    }
}

/// What has that name; an error says where it was looked for.
pub(crate) async fn find(cluster: &Cluster, name: &str) -> Result<Found> {
    let found = cluster.api::<DatabaseClaim>().get_opt(name).await;
    let found = found.with_context(|| format!("cannot read claim {name}"))?;
    if let Some(claim) = found {
        return Ok(Found::Claim(Box::new(claim)));
    }
    let role_claim = cluster.api::<DbRoleClaim>().get_opt(name).await;
    if let Ok(Some(role_claim)) = role_claim {
        return Ok(Found::Role(Box::new(role_claim)));
    }
    let namespace = &cluster.namespace;
    anyhow::bail!("there is no claim {name} in namespace {namespace}")
}

/// The same of what has logins of its own, and so can be asked about them.
pub(crate) async fn with_logins(cluster: &Cluster, name: &str) -> Result<Found> {
    let found = find(cluster, name).await?;
    if let Found::Role(role_claim) = &found
        && !role_claim.has_logins()
    {
        let source = &role_claim.spec.source_database_claim;
        anyhow::bail!(
            "role claim {name} has no login of its own; name the claim that it shares: {} in namespace {}",
            source.name,
            source.namespace
        );
    }
    Ok(found)
}
