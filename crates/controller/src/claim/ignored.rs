//! Fields that a claim sets and that have no effect where it lives, so that nobody waits for them.

use api::claim::{DatabaseClaim, DatabaseClaimSpec};
use engine::{
    address::Engine,
    place::Place,
    wishes::{Elevation, Mode},
};

use super::{inputs::Inputs, report::Outcome};

/// Names of the fields, with why they do nothing.
pub(super) fn ignored_fields(
    claim: &DatabaseClaim,
    inputs: &Inputs,
    outcome: &Outcome,
) -> Option<String> {
    let (spec, database) = (&claim.spec, &outcome.database);
    let provider_fields = [
        ("deletionPolicy", spec.deletion_policy.is_some()),
        ("maxStorageGB", spec.max_storage_gb.is_some()),
        ("minStorageGB", spec.min_storage_gb.is_some_and(|gb| gb > 0)),
        (
            "dbVersion",
            spec.db_version
                .as_ref()
                .is_some_and(|version| !version.is_empty()),
        ),
        (
            "shape",
            spec.shape.as_ref().is_some_and(|shape| !shape.is_empty()),
        ),
        ("backupPolicy", spec.backup_policy.is_some()),
        (
            "restoreFrom",
            spec.restore_from
                .as_ref()
                .is_some_and(|from| !from.is_empty()),
        ),
        (
            "tags",
            spec.tags.as_ref().is_some_and(|tags| !tags.is_empty()),
        ),
        (
            "preferredMaintenanceWindow",
            spec.preferred_maintenance_window
                .as_ref()
                .is_some_and(|window| !window.is_empty()),
        ),
    ];
    let names: Vec<_> = provider_fields
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();
    let asked = &inputs.wishes.timing.asked;
    let wishes = &inputs.wishes;
    let published = &outcome.published.stored;
    let mut sentences = Vec::from_iter(asked.refused_revocation(published.generation()));
    sentences.extend(wishes.secret.ignored(wishes.engine, published));
    if !names.is_empty() {
        sentences.push(format!(
            "{}: only for instances that a provider makes; this claim lives on an existing server",
            names.join(", ")
        ));
    }
    sentences.extend(of_another_engine(spec, inputs.wishes.engine));
    if inputs.choice.ignores_source {
        sentences.push("sourceDataFrom: the claim runs on a database of its own".to_owned());
    }
    if inputs.choice.mode == Mode::Adopt && spec.database_name != database.as_str() {
        sentences.push(format!(
            "databaseName: the source names database {database}, which is used, not {}",
            spec.database_name
        ));
    }
    if inputs.choice.mode == Mode::Adopt && spec.server.is_some() {
        sentences.push("server: the claim uses sourceDataFrom".to_owned());
    }
    sentences.extend(elevation(spec, inputs, outcome));
    let refuses_replication =
        matches!(&inputs.choice.place, Place::Server(server) if !server.policy.allow_replication);
    if spec.enable_replication_role == Some(true) && refuses_replication {
        sentences.push("enableReplicationRole: the server's policy does not allow it".to_owned());
    }
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

/// Why nobody gets the power of a superuser, where it is asked for in vain.
fn elevation(spec: &DatabaseClaimSpec, inputs: &Inputs, outcome: &Outcome) -> Option<String> {
    let wishes = &inputs.wishes;
    if spec.enable_super_user != Some(true) || wishes.engine == Engine::Mongo {
        return None;
    }
    let why = match (&inputs.choice.place, wishes.elevation) {
        (Place::Source { .. }, _) => "only on a DatabaseServer whose policy allows it",
        (Place::Server(server), _) if !server.policy.allow_super_user => {
            "the server's policy does not allow it"
        }
        (Place::Server(_), Elevation::Granted) => outcome.refused_elevation?.sentence(),
        (Place::Server(_), _) => "the controller's configuration does not allow it",
    };
    Some(format!("enableSuperUser: {why}"))
}

fn of_another_engine(spec: &DatabaseClaimSpec, engine: Engine) -> Option<String> {
    let (other, fields) = match engine {
        Engine::Postgres => (
            "MongoDB",
            vec![
                ("databases", spec.databases.is_some()),
                ("databaseRoles", spec.database_roles.is_some()),
                ("authDatabase", spec.auth_database.is_some()),
                ("authMechanisms", spec.auth_mechanisms.is_some()),
            ],
        ),
        Engine::Mongo => (
            "PostgreSQL",
            vec![
                ("extensions", spec.extensions.is_some()),
                (
                    "enableReplicationRole",
                    spec.enable_replication_role == Some(true),
                ),
                ("enableSuperUser", spec.enable_super_user == Some(true)),
            ],
        ),
    };
    let fields = fields
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name));
    let names = fields.collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("{names}: only on {other}"))
}
