//! What a person wants to see of a failed test's namespace.

use std::io::Read;

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{self, Scope};

use super::TestEnv;
use crate::process::last_lines;

/// Prints conditions, Events and controller logs. What can't be read is left out: the failure that
/// brought us here is what counts.
pub(super) async fn print(env: &TestEnv) {
    eprintln!("---- namespace {} ----", env.namespace);
    print_claims(env).await;
    print_events(env).await;
    let logs = std::mem::take(&mut env.made().logs);
    for (number, mut log) in logs.into_iter().enumerate() {
        let mut text = String::new();
        let _ = log.read_to_string(&mut text);
        eprintln!("---- controller {number} ----\n{}", last_lines(&text));
    }
}

/// The status of every object of our kinds.
async fn print_claims(env: &TestEnv) {
    let Ok(group) = discovery::oneshot::group(&env.client, api::names::GROUP).await else {
        return;
    };
    for (resource, capabilities) in group.recommended_resources() {
        if capabilities.scope != Scope::Namespaced {
            continue;
        }
        let claims: Api<DynamicObject> =
            Api::namespaced_with(env.client(), &env.namespace, &resource);
        for claim in claims
            .list(&ListParams::default())
            .await
            .into_iter()
            .flatten()
        {
            let status = claim
                .data
                .get("status")
                .map(ToString::to_string)
                .unwrap_or_default();
            eprintln!("{} {}: {status}", resource.kind, claim.name_any());
        }
    }
}

async fn print_events(env: &TestEnv) {
    let events: Api<Event> = Api::namespaced(env.client(), &env.namespace);
    for event in events
        .list(&ListParams::default())
        .await
        .into_iter()
        .flatten()
    {
        eprintln!(
            "Event {} {}: {} {}",
            event.involved_object.kind.unwrap_or_default(),
            event.involved_object.name.unwrap_or_default(),
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default(),
        );
    }
}
