//! Which namespaces a DatabaseServer or a claim admits.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};

use crate::server::AllowedNamespaces;

impl AllowedNamespaces {
    /// Whether a namespace with these labels may use the server. A selector that can't be read
    /// admits nobody.
    pub fn admits(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let Self {
            all,
            names,
            selector,
        } = self;
        if *all == Some(true) || names.iter().any(|name| name == namespace) {
            return true;
        }
        // An empty selector would select everything by the rules of Kubernetes; `all` says that.
        let Some(selector) = selector.clone().filter(|selector| {
            selector
                .match_labels
                .as_ref()
                .is_some_and(|labels| !labels.is_empty())
                || selector
                    .match_expressions
                    .as_ref()
                    .is_some_and(|all| !all.is_empty())
        }) else {
            return false;
        };
        Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

    use super::*;

    #[test]
    fn a_server_admits_by_name_by_label_or_all_and_otherwise_nobody() {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let admits = |allowed: AllowedNamespaces| allowed.admits("orders", &labels);
        assert!(!admits(AllowedNamespaces::default()));
        assert!(admits(AllowedNamespaces {
            all: Some(true),
            ..AllowedNamespaces::default()
        }));
        let names = vec!["orders".to_owned()];
        assert!(admits(AllowedNamespaces {
            names,
            ..AllowedNamespaces::default()
        }));
        let select = |labels: &BTreeMap<String, String>| AllowedNamespaces {
            selector: Some(LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            }),
            ..AllowedNamespaces::default()
        };
        assert!(admits(select(&labels)));
        assert!(!admits(select(&BTreeMap::new())));
    }
}
