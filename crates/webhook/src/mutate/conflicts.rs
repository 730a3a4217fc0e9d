//! Step 4: what the pod has that the sidecars would collide with.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

use super::{Port, Refusal, Sidecar};

/// Errors: the first conflict found.
pub(super) fn check(pod: &Pod, sidecars: &[Sidecar]) -> Result<(), Refusal> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    for (index, sidecar) in sidecars.iter().enumerate() {
        host_network(spec, sidecar)?;
        container_name(spec, sidecar)?;
        volumes(spec, sidecar)?;
        let others = sidecars.iter().take(index);
        for port in &sidecar.ports {
            declared(spec, sidecar, port)?;
            others.clone().try_for_each(|other| {
                let is_taken = other.ports.iter().any(|it| it.number == port.number);
                taken(is_taken, &other.container.name, sidecar, port)
            })?;
        }
        own_ports(sidecar)?;
    }
    Ok(())
}

/// Loopback is then the node's, and everybody on it could connect.
fn host_network(spec: &PodSpec, sidecar: &Sidecar) -> Result<(), Refusal> {
    let is_proxy = sidecar.marker == api::names::pod::INJECTED_DBPROXY;
    if is_proxy && spec.host_network == Some(true) {
        return Err(Refusal::HostNetwork);
    }
    Ok(())
}

fn container_name(spec: &PodSpec, sidecar: &Sidecar) -> Result<(), Refusal> {
    let name = &sidecar.container.name;
    if containers(spec).any(|container| container.name == *name) {
        return Err(Refusal::ContainerTaken { name: name.clone() });
    }
    Ok(())
}

/// A volume that is what the sidecar needs is used; another of its name is refused.
fn volumes(spec: &PodSpec, sidecar: &Sidecar) -> Result<(), Refusal> {
    for volume in &sidecar.volumes {
        let named = spec.volumes.iter().flatten();
        let mut named = named.filter(|existing| existing.name == volume.name);
        if named.any(|existing| !serves_as(existing, volume)) {
            return Err(Refusal::VolumeTaken {
                name: volume.name.clone(),
                sidecar: sidecar.container.name.clone(),
            });
        }
    }
    Ok(())
}

/// Whether both have the same Secret as a whole, or both are memory; defaults may be filled in.
fn serves_as(existing: &Volume, wished: &Volume) -> bool {
    let secret = |volume: &Volume| {
        let source = volume.secret.as_ref()?;
        let is_whole = source.items.iter().flatten().next().is_none();
        source.secret_name.clone().filter(|_| is_whole)
    };
    let medium = |volume: &Volume| volume.empty_dir.as_ref()?.medium.clone();
    secret(existing) == secret(wished) && medium(existing) == medium(wished)
}

fn declared(spec: &PodSpec, sidecar: &Sidecar, port: &Port) -> Result<(), Refusal> {
    containers(spec).try_for_each(|container| {
        let is_taken = container.ports.iter().flatten().any(|declared| {
            let is_tcp = declared.protocol.as_deref().is_none_or(|it| it == "TCP");
            is_tcp && declared.container_port == i32::from(port.number)
        });
        taken(is_taken, &container.name, sidecar, port)
    })
}

fn own_ports(sidecar: &Sidecar) -> Result<(), Refusal> {
    let mut ports = sidecar.ports.iter();
    while let Some(port) = ports.next() {
        let is_taken = ports.clone().any(|other| other.number == port.number);
        taken(is_taken, &sidecar.container.name, sidecar, port)?;
    }
    Ok(())
}

fn taken(is_taken: bool, container: &str, sidecar: &Sidecar, port: &Port) -> Result<(), Refusal> {
    if !is_taken {
        return Ok(());
    }
    Err(Refusal::PortTaken {
        port: port.number,
        container: container.to_owned(),
        sidecar: sidecar.container.name.clone(),
        annotation: port.annotation.clone(),
    })
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
}
