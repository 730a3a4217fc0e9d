//! The configuration files of containerd, its network and the kubelet.

use std::path::Path;

use serde_json::{Value, json};

use super::network::Bridge;

/// containerd with all of its state in `folder`.
pub(super) fn containerd(folder: &Path, plugins: &Path, sandbox_image: &str) -> String {
    let folder = folder.display();
    let plugins = plugins.display();
    // The snapshotter `native` copies, and works on any file system. Without CAP_SYS_RESOURCE the
    // score of a process can't be lowered.
    format!(
        r#"version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
"#
    )
}

/// Pods on a bridge that exists, reached from this machine and from each other. There is no way
/// out and no translation of addresses.
pub(super) fn network(bridge: &Bridge) -> Value {
    let Bridge {
        name,
        address,
        subnet,
        ..
    } = bridge;
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": name,
            "isGateway": false,
            "ipMasq": false,
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": subnet, "gateway": address }]] },
        }],
    })
}

/// A kubelet that looks at its pods each second, so that a changed Secret is soon in its volume,
/// and that leaves the rest of the machine alone.
pub(super) fn kubelet(folder: &Path, port: u16) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": port,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "authentication": { "anonymous": { "enabled": false }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "failCgroupV1": false,
        "protectKernelDefaults": true,
        "makeIPTablesUtilChains": false,
        "containerRuntimeEndpoint": format!("unix://{}/containerd.sock", folder.display()),
        "podLogsDir": folder.join("pods"),
        "volumePluginDir": folder.join("plugins"),
        "resolvConf": "",
        "syncFrequency": "1s",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "memory.available": "1Mi", "nodefs.available": "0%" },
        "shutdownGracePeriod": "0s",
    })
}
