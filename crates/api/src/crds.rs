//! The custom resource definitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt, Resource};

use crate::{claim::DatabaseClaim, role_claim::DbRoleClaim, server::DatabaseServer};

/// Annotations that keep the definitions, and so all objects, when a release is removed.
const KEEP: [(&str, &str); 2] = [
    ("helm.sh/resource-policy", "keep"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

/// Label by which tools of the Service Binding specification find kinds whose objects can be bound.
const PROVISIONED_SERVICE: &str = "servicebinding.io/provisioned-service";

/// All our definitions, each with the annotations that protect it.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        DatabaseClaim::crd(),
        DbRoleClaim::crd(),
        DatabaseServer::crd(),
    ];
    for crd in &mut crds {
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.extend(KEEP.map(|(key, value)| (key.to_owned(), value.to_owned())));
        if crd.spec.names.kind != DatabaseServer::kind(&()) {
            let labels = crd.metadata.labels.get_or_insert_default();
            labels.insert(PROVISIONED_SERVICE.to_owned(), "true".to_owned());
        }
    }
    crds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_1_group_kinds_and_scope_are_those_of_the_original() {
        let names: Vec<_> = crds()
            .into_iter()
            .filter_map(|crd| crd.metadata.name)
            .collect();
        let group = crate::names::GROUP;
        assert_eq!(
            names,
            ["databaseclaims", "dbroleclaims", "databaseservers"].map(|p| format!("{p}.{group}"))
        );
    }

    #[test]
    fn row_2_the_columns_begin_with_the_original_ones_in_order() {
        let crd = DatabaseClaim::crd();
        assert_eq!(
            crd.spec.names.short_names.as_deref(),
            Some(&["dbc".to_owned()][..])
        );
        let columns = crd.spec.versions[0]
            .additional_printer_columns
            .clone()
            .unwrap();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names[..7],
            [
                "Type",
                "Version",
                "Ready",
                "Synced",
                "Status",
                "Age",
                "MigrationState"
            ]
        );
    }
}
