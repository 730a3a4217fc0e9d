//! What a pass starts from: spec, configuration and caches, without asking anybody.

use std::sync::Arc;

use api::{
    claim::DatabaseClaim,
    conditions::{self, Type},
    config::Config,
    names::annotation,
};
use engine::{
    agenda,
    dsn::Dsn,
    place::{self, Choice, Place},
    wishes::Wishes,
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    context::{Context, Rest, Scope},
    error::Error,
    quota, usage,
};

/// The claim's place and wishes, with every default filled in.
pub(crate) struct Inputs {
    pub choice: Choice,
    pub wishes: Wishes,
}

impl Inputs {
    pub(crate) fn of(claim: &DatabaseClaim, context: &Context) -> Result<Self, Error> {
        let config = context.config.load();
        let servers = context.servers.state();
        let servers: Vec<_> = servers.iter().map(Arc::as_ref).collect();
        let labels = context.namespace_labels(&claim.namespace().unwrap_or_default());
        let known = place::Known {
            config: &config,
            servers: &servers,
            namespace_labels: &labels,
            own_namespace: &context.settings.namespace,
        };
        let choice = place::choose(claim, &known)?;
        let wishes = Wishes::of(claim, &choice, &config)?;
        // Who goes gets no place.
        if claim.metadata.deletion_timestamp.is_none() && !usage::has_place(claim, &wishes) {
            quota::reserve(context, &wishes)?;
        }
        Ok(Self { choice, wishes })
    }

    /// Connections that the controller may hold to the claim's server.
    pub(crate) fn connections(&self, config: &Config) -> u16 {
        match &self.choice.place {
            Place::Server(server) => server.max_connections,
            Place::Source { .. } => None,
        }
        .unwrap_or(config.max_connections_per_server)
    }

    /// What shares a circuit and a bound: the claims of one server, or of one namespace that name
    /// the same address. A namespace can't close a server to others.
    pub(crate) fn circuit(&self, admin: &Dsn) -> String {
        match &self.choice.place {
            Place::Server(server) => server.address.to_string(),
            Place::Source { .. } => format!("{}/{}", self.wishes.claim.namespace, admin.address),
        }
    }

    /// The admin was refused: its server is looked at before its time.
    pub(crate) fn doubt(&self, context: &Context) {
        let Place::Server(server) = &self.choice.place else {
            return;
        };
        let found = context.servers.get(&ObjectRef::new(&server.name));
        if let Some(uid) = found.and_then(|server| server.uid()) {
            context.memory.update(&uid, |memory| memory.attempts += 1);
        }
    }

    /// What the agenda is made from.
    pub(super) fn known<'a>(&'a self, claim: &'a DatabaseClaim, scope: &Scope) -> KnownFacts<'a> {
        let context = &scope.context;
        let secret_ref =
            ObjectRef::new(&self.wishes.secret.name).within(&claim.namespace().unwrap_or_default());
        let secret = scope.secrets.get(&secret_ref);
        let annotation = |key: &str| {
            secret
                .as_ref()
                .and_then(|secret| secret.annotations().get(key))
                .cloned()
        };
        let uid = &self.wishes.claim.uid;
        let memory = context.memory.get(uid);
        KnownFacts {
            inputs: self,
            claim,
            secret_version: secret.as_ref().and_then(|secret| secret.resource_version()),
            rotated_at: annotation(annotation::ROTATED_AT).and_then(|at| at.parse().ok()),
            handled_nonce: annotation(annotation::HANDLED_ROTATE),
            has_failed: memory.attempts > 0,
            revoked: memory.revoked,
            inspected: memory.inspected,
            checked_at: memory.checked_at,
            started_at: context.started_at,
            check_every: context.config.load().drift_check_period,
        }
    }

    /// What a pause decided on now is bound to.
    pub(super) fn rest(&self, claim: &DatabaseClaim, scope: &Scope, until: Timestamp) -> Rest {
        let secret =
            ObjectRef::new(&self.wishes.secret.name).within(&claim.namespace().unwrap_or_default());
        Rest {
            until,
            generation: claim.metadata.generation,
            asked: self.wishes.timing.asked.clone(),
            secret_version: scope
                .secrets
                .get(&secret)
                .and_then(|secret| secret.resource_version()),
        }
    }

    /// Until when the claim rests, if it does.
    pub(super) fn rests(
        &self,
        claim: &DatabaseClaim,
        scope: &Scope,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let rest = scope.context.memory.get(&self.wishes.claim.uid).rest?;
        let is_same = rest == self.rest(claim, scope, rest.until);
        (is_same && rest.until > now).then_some(rest.until)
    }

    /// Whether status says that all is well with the claim as it is now.
    fn is_settled(&self, claim: &DatabaseClaim) -> bool {
        let Some(status) = &claim.status else {
            return false;
        };
        let Some(ready) = conditions::find(&status.conditions, Type::Ready) else {
            return false;
        };
        let recorded = status.server.as_ref().map(|server| server.address.as_str());
        let is_same_server = match &self.choice.place {
            Place::Server(server) => recorded == Some(server.address.to_string().as_str()),
            Place::Source { .. } => recorded.is_some(),
        };
        ready.status == "True"
            && ready.observed_generation == claim.metadata.generation
            && !conditions::is_true(&status.conditions, Type::Rotating)
            && is_same_server
    }
}

/// Facts with their owners, so that the agenda can borrow them.
pub(super) struct KnownFacts<'a> {
    inputs: &'a Inputs,
    claim: &'a DatabaseClaim,
    secret_version: Option<String>,
    rotated_at: Option<Timestamp>,
    handled_nonce: Option<String>,
    has_failed: bool,
    revoked: Option<i64>,
    inspected: Option<String>,
    checked_at: Option<Timestamp>,
    started_at: Timestamp,
    check_every: std::time::Duration,
}

impl KnownFacts<'_> {
    pub(super) fn agenda(&self, now: Timestamp) -> agenda::Agenda {
        let rotation = self
            .claim
            .status
            .as_ref()
            .and_then(|status| status.rotation.as_ref());
        let recorded_at = self.claim.status.as_ref().and_then(|status| {
            status
                .active_db
                .as_ref()
                .and_then(|active| active.user_updated_at)
        });
        let status = self.claim.status.as_ref();
        let inspected = status.and_then(|status| status.inspection.as_deref());
        let inspected = inspected.map(|it| it.nonce.as_str());
        let conditions = status.map_or(&[][..], |status| &status.conditions);
        let ignored = conditions::find(conditions, Type::FieldsIgnored);
        let revocation = rotation.and_then(|rotation| rotation.revocation.as_ref());
        let wishes = &self.inputs.wishes;
        let waits_for_overlap = wishes.timing.overlap.is_some()
            && rotation.is_some_and(|rotation| rotation.previous_login.is_some());
        let known = agenda::Known {
            uid: &wishes.claim.uid,
            timing: &wishes.timing,
            is_settled: self.inputs.is_settled(self.claim) && !self.has_failed,
            secret_version: self.secret_version.as_deref(),
            recorded_version: rotation.and_then(|r| r.secret_resource_version.as_deref()),
            rotated_at: self.rotated_at.or(recorded_at),
            handled_nonce: self
                .handled_nonce
                .as_deref()
                .or(rotation.and_then(|rotation| rotation.handled_nonce.as_deref())),
            generation: rotation.map_or(0, |rotation| rotation.generation),
            revoked: revocation.map(|it| it.generation).max(self.revoked),
            ignored: ignored.map(|it| it.message.as_str()),
            inspected: inspected.or(self.inspected.as_deref()),
            has_previous: waits_for_overlap || !wishes.former_roles.is_empty(),
            check_every: self.check_every,
            checked_at: self.checked_at,
            started_at: self.started_at,
        };
        agenda::agenda(&known, now)
    }
}
