//! What every sidecar has for the restricted Pod Security Standard, and its probes.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, HTTPGetAction, Probe, ResourceRequirements, SeccompProfile,
        SecurityContext,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::settings::{Common, Probes, Resources};

/// Name, image, rights, resources and probes; the rest is the caller's.
pub(super) fn container(
    name: &str,
    common: &Common,
    run_as: Option<i64>,
    probes: Probes,
) -> Container {
    let Common {
        image,
        health_port,
        log_level: _,
        resources,
    } = common;
    let probe = |path, period, timeout, failures| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path),
            port: IntOrString::Int(i32::from(*health_port)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    };
    let alive = || "/healthz".to_owned();
    let ready = || "/readyz".to_owned();
    Container {
        name: name.to_owned(),
        image: Some(image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: requirements(resources),
        security_context: Some(restricted(run_as)),
        // The process alone, so that a database that is away does not keep the pod from starting.
        startup_probe: Some(probe(alive(), 1, 1, 120)),
        readiness_probe: probes.readiness.then(|| probe(ready(), 5, 3, 3)),
        liveness_probe: probes.liveness.then(|| probe(alive(), 15, 5, 4)),
        ..Container::default()
    }
}

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, restricted.
fn restricted(run_as: Option<i64>) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_group: run_as,
        run_as_non_root: Some(true),
        run_as_user: run_as,
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

fn requirements(resources: &Resources) -> Option<ResourceRequirements> {
    let Resources {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = resources;
    let map = |cpu: &Option<_>, memory: &Option<_>| {
        let entries = [("cpu", cpu), ("memory", memory)];
        let set = entries.into_iter().filter_map(|(name, amount)| {
            let amount: &crate::settings::Amount = amount.as_ref()?;
            Some((name.to_owned(), amount.quantity()))
        });
        Some(set.collect::<std::collections::BTreeMap<_, _>>()).filter(|map| !map.is_empty())
    };
    let requirements = ResourceRequirements {
        requests: map(cpu_request, memory_request),
        limits: map(cpu_limit, memory_limit),
        claims: None,
    };
    Some(requirements).filter(|it| it.requests.is_some() || it.limits.is_some())
}
