//! Gauges over all claims, computed from the watch cache when somebody asks for them.

use std::sync::Arc;

use api::{
    claim::DatabaseClaim,
    conditions::{self, Type, reason},
    role_claim::DbRoleClaim,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};

pub struct ClaimGauges {
    total: IntGaugeVec,
    existing_source: IntGaugeVec,
    error_state: IntGaugeVec,
    migration_state: IntGaugeVec,
    db_state: IntGaugeVec,
    due: IntGaugeVec,
    overdue: IntGaugeVec,
    deferred: IntGaugeVec,
    drifted: IntGaugeVec,
    consumers: IntGaugeVec,
    credential_age: GaugeVec,
    leader: IntGauge,
}

/// Rotations due within so many seconds count as due.
const SOON_SECONDS: i64 = 3600;

/// A rotation this late is overdue.
const LATE_SECONDS: i64 = 300;

impl ClaimGauges {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let leader = IntGauge::new(
            "dbcontroller_leader",
            "1 on the replica that leads its class",
        )?;
        registry.register(Box::new(leader.clone()))?;
        let credential_age = GaugeVec::new(
            Opts::new(
                "dbcontroller_credential_age_seconds",
                "Age of the oldest published credential of a namespace",
            ),
            &["namespace"],
        )?;
        registry.register(Box::new(credential_age.clone()))?;
        Ok(Self {
            total: gauge(
                "dbcontroller_total_database_claims",
                "Claims",
                &["namespace", "app_id", "db_tye", "db_type", "db_version"],
            )?,
            existing_source: gauge(
                "dbcontroller_existing_source_claims",
                "Claims by whether they use an existing source",
                &["namespace", "use_existing_source", "app_id"],
            )?,
            error_state: gauge(
                "dbcontroller_error_state_claims",
                "Claims that are not ready, by reason",
                &["namespace", "app_id", "error"],
            )?,
            migration_state: gauge(
                "dbcontroller_migration_state_claims",
                "Claims by migration state",
                &["namespace", "migration_state", "app_id"],
            )?,
            db_state: gauge(
                "dbcontroller_active_db_state",
                "Claims by state of their database",
                &["namespace", "db_state", "app_id"],
            )?,
            due: gauge(
                "dbcontroller_rotations_due",
                "Rotations that are due within the hour",
                &["namespace"],
            )?,
            overdue: gauge(
                "dbcontroller_rotations_overdue",
                "Rotations that are late by five minutes or more",
                &["namespace"],
            )?,
            deferred: gauge(
                "dbcontroller_rotations_deferred",
                "Rotations that wait, by cause",
                &["cause"],
            )?,
            drifted: gauge(
                "dbcontroller_drifted_claims",
                "Claims and role claims of which something on the server differs, by reason",
                &["namespace", "reason"],
            )?,
            consumers: gauge(
                "dbcontroller_consumers",
                "Pods by whether they use the newest credential of their claim",
                &["namespace", "state"],
            )?,
            credential_age,
            leader,
        })
    }

    /// Every gauge anew: what no claim stands for any more is gone.
    pub fn refresh(
        &self,
        claims: &[Arc<DatabaseClaim>],
        role_claims: &[Arc<DbRoleClaim>],
        now: Timestamp,
    ) {
        self.reset();
        for claim in claims {
            self.add(claim, now);
        }
        for role_claim in role_claims {
            let status = role_claim.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice());
            let namespace = role_claim.namespace().unwrap_or_default();
            self.add_drift(&namespace, conditions.unwrap_or_default());
        }
    }

    pub fn set_leader(&self, is_leader: bool) {
        self.leader.set(i64::from(is_leader));
    }

    fn reset(&self) {
        let Self {
            total,
            existing_source,
            error_state,
            migration_state,
            db_state,
            due,
            overdue,
            deferred,
            drifted,
            consumers,
            credential_age,
            leader: _,
        } = self;
        for gauge in [
            total,
            existing_source,
            error_state,
            migration_state,
            db_state,
            due,
            overdue,
            deferred,
            drifted,
            consumers,
        ] {
            gauge.reset();
        }
        credential_age.reset();
    }

    fn add_drift(&self, namespace: &str, conditions: &[Condition]) {
        if let Some(drifted) = conditions::find(conditions, Type::Drifted) {
            let labels = [namespace, drifted.reason.as_str()];
            self.drifted.with_label_values(&labels).inc();
        }
    }

    fn add(&self, claim: &DatabaseClaim, now: Timestamp) {
        let namespace = claim.namespace().unwrap_or_default();
        let namespace = namespace.as_str();
        let spec = &claim.spec;
        let app_id = spec.app_id.as_deref().unwrap_or_default();
        let engine = spec
            .type_
            .as_deref()
            .filter(|e| !e.is_empty())
            .unwrap_or("postgres");
        let status = claim.status.clone().unwrap_or_default();
        let active = status.active_db.unwrap_or_default();
        let version = active.dbversion.unwrap_or_default();
        let labels = [namespace, app_id, engine, engine, version.as_str()];
        self.total.with_label_values(&labels).inc();
        let uses = if spec.use_existing_source == Some(true) {
            "true"
        } else {
            "false"
        };
        self.existing_source
            .with_label_values(&[namespace, uses, app_id])
            .inc();
        if let Some(ready) = conditions::find(&status.conditions, Type::Ready)
            && ready.status != "True"
        {
            self.error_state
                .with_label_values(&[namespace, app_id, &ready.reason])
                .inc();
        }
        if let Some(state) = status.migration_state.filter(|state| !state.is_empty()) {
            self.migration_state
                .with_label_values(&[namespace, &state, app_id])
                .inc();
        }
        if let Some(state) = active.db_state {
            self.db_state
                .with_label_values(&[namespace, &state, app_id])
                .inc();
        }
        if let Some(rotating) = conditions::find(&status.conditions, Type::Rotating) {
            let cause = match rotating.reason.as_str() {
                reason::THROTTLED => "throttled",
                _ => "live_sessions",
            };
            self.deferred.with_label_values(&[cause]).inc();
        }
        self.add_drift(namespace, &status.conditions);
        let consumers = status.consumers.unwrap_or_default();
        let behind = consumers.total - consumers.current;
        for (state, count) in [("current", consumers.current), ("behind", behind)] {
            let labels = [namespace, state];
            self.consumers.with_label_values(&labels).add(count);
        }
        let rotation = status.rotation.unwrap_or_default();
        if let Some(next) = rotation.next_rotation_at {
            let seconds = next.as_second() - now.as_second();
            if seconds <= -LATE_SECONDS {
                self.overdue.with_label_values(&[namespace]).inc();
            } else if seconds <= SOON_SECONDS {
                self.due.with_label_values(&[namespace]).inc();
            }
        }
        if let Some(at) = rotation.last_rotation_at {
            let age = now.duration_since(at).as_secs_f64();
            let gauge = self.credential_age.with_label_values(&[namespace]);
            gauge.set(gauge.get().max(age));
        }
    }
}
