//! A real node: containerd, runc and a kubelet, with the scheduler that sends it pods.
//!
//! All but the scheduler runs in PID and mount namespaces of its own, whose first process ends with
//! ours: then the kernel ends every container and unmounts every volume. The bridge and the control
//! groups carry this process's id and are removed by a process that outlives us. There is one node
//! a process at most. Pods are reached at their addresses; they reach this machine at
//! [`Node::address`], and nothing else.

mod config;
mod network;
mod pods;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use nix::sys::signal::Signal;
use serde_json::json;

pub use crate::assets::node::obstacle;

use crate::assets::control_plane::{Binaries, binaries};
use crate::assets::node::{Programs, programs};
use crate::assets::run;
use crate::control_plane::{ControlPlane, NODE};
use crate::process::{Process, ProcessBuilder, Workdir, free_port};
use crate::wait::wait_for;
use network::Bridge;

const START: &str = include_str!("node/start.sh");

/// A node that is Ready.
pub struct Node {
    process: Process,
    scheduler: Process,
    bridge: Bridge,
    programs: Programs,
    workdir: Arc<Workdir>,
}

impl Node {
    /// Starts the one node of `control_plane`, whose pods' sandboxes are made of `sandbox_image`,
    /// which is to be imported. Ask [`obstacle`] first.
    pub async fn start(control_plane: &ControlPlane, sandbox_image: &str) -> Result<Self> {
        let workdir = Workdir::new("node")?;
        let (components, programs, bridge) =
            tokio::task::spawn_blocking(|| anyhow::Ok((binaries()?, programs()?, Bridge::make()?)))
                .await??;
        write_configuration(control_plane, &workdir, &programs, &bridge, sandbox_image)?;
        let process = start_node(&components, &programs, &workdir).await?;
        let scheduler = components
            .scheduler
            .builder()
            .args(["--leader-elect=false", "--secure-port=0"])
            .arg(kubeconfig_flag(&control_plane.kubeconfig_path()))
            .start(&workdir, async || true)
            .await?;
        let node = Self {
            process,
            scheduler,
            bridge,
            programs,
            workdir,
        };
        let admitted = node.admit(control_plane.client().await?).await;
        admitted.inspect_err(|_| node.workdir.keep())?;
        Ok(node)
    }

    /// The address of this machine that pods reach.
    pub fn address(&self) -> Ipv4Addr {
        self.bridge.address
    }

    /// Gives containerd the images of a tar.
    pub async fn import(&self, tar: &Path) -> Result<()> {
        let mut import = self.ctr();
        import.args(["images", "import", "--snapshotter=native"]);
        import.arg(tar);
        tokio::task::spawn_blocking(move || run(&mut import)).await??;
        Ok(())
    }

    /// Gives an image another name.
    pub async fn tag(&self, image: &str, name: &str) -> Result<()> {
        let mut tag = self.ctr();
        tag.args(["images", "tag", "--force", image, name]);
        tokio::task::spawn_blocking(move || run(&mut tag)).await??;
        Ok(())
    }

    /// Ends the kubelet in order; another one follows at once. Containers go on.
    pub async fn restart_kubelet(&self) -> Result<()> {
        let before = self.kubelet()?;
        let mut kill = Command::new("nsenter");
        kill.arg(format!("--target={}", self.first_process()?));
        kill.args(["--pid", "--mount", "sh", "-c"]);
        kill.arg(format!("kill {before}"));
        run(&mut kill)?;
        wait_for("another kubelet", async || {
            Ok((self.kubelet()? != before).then_some(()))
        })
        .await
    }

    /// Ends everything and removes what the kernel would keep.
    pub async fn stop(self) -> Result<()> {
        let Self {
            process,
            scheduler,
            bridge,
            programs: _,
            workdir: _,
        } = self;
        scheduler.stop().await?;
        process.kill().await?;
        tokio::task::spawn_blocking(|| bridge.remove()).await?
    }

    /// The kubelet's id in its namespace.
    fn kubelet(&self) -> Result<String> {
        let file = self.workdir.join("kubelet.pid");
        Ok(std::fs::read_to_string(file)?.trim().to_owned())
    }

    /// The id of the first process in the namespace, as this machine sees it.
    fn first_process(&self) -> Result<String> {
        let pid = self.process.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let first = children.split_whitespace().next();
        first.map(str::to_owned).context("the node has ended")
    }

    fn ctr(&self) -> Command {
        let mut ctr = Command::new(self.programs.ctr());
        ctr.args(["--namespace", "k8s.io", "--address"]);
        ctr.arg(self.workdir.join("containerd.sock"));
        ctr
    }

    /// Waits until the node is Ready. The taint of its birth is removed by hand: the controller
    /// that does so would also take pods away from a node that is slow to answer.
    async fn admit(&self, client: Client) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(client);
        let kubelet_log = self.workdir.join("kubelet.log");
        wait_for("the node to be Ready", async || {
            let node = nodes.get_opt(NODE).await?;
            let log = std::fs::read_to_string(&kubelet_log).unwrap_or_default();
            let conditions = node.and_then(|node| node.status?.conditions);
            let mut conditions = conditions.into_iter().flatten();
            let is_ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
            anyhow::ensure!(is_ready, "kubelet: {}", crate::process::last_lines(&log));
            Ok(Some(()))
        })
        .await?;
        let patch = Patch::Merge(json!({ "spec": { "taints": null } }));
        nodes.patch(NODE, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

fn write_configuration(
    control_plane: &ControlPlane,
    workdir: &Workdir,
    programs: &Programs,
    bridge: &Bridge,
    sandbox_image: &str,
) -> Result<()> {
    let folder = workdir.path();
    for below in ["cni", "pods", "plugins"] {
        std::fs::create_dir(folder.join(below))?;
    }
    let containerd = config::containerd(folder, &programs.cni(), sandbox_image);
    workdir.write("containerd.toml", &containerd)?;
    let network = config::network(bridge);
    workdir.write("cni/pods.conflist", &network.to_string())?;
    let kubelet = config::kubelet(folder, free_port()?);
    workdir.write("kubelet.json", &kubelet.to_string())?;
    workdir.write("kubelet.kubeconfig", &control_plane.node_kubeconfig()?)?;
    Ok(())
}

/// unshare(1) neither hears SIGTERM nor needs to: whatever is killed, all of it ends.
async fn start_node(
    components: &Binaries,
    programs: &Programs,
    workdir: &Arc<Workdir>,
) -> Result<Process> {
    let folder = workdir.path();
    let socket = workdir.join("containerd.sock");
    ProcessBuilder::new("node", "unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"])
        .args(["sh", "-c", START, "sh"])
        .arg(format!("db-controller-node-{}", std::process::id()))
        .args(components.kubelet.command_line())
        .arg("--config=kubelet.json")
        .arg(kubeconfig_flag(&folder.join("kubelet.kubeconfig")))
        .arg(format!("--root-dir={}", folder.join("kubelet").display()))
        .arg(format!("--cert-dir={}", folder.join("kubelet").display()))
        .arg(format!("--hostname-override={NODE}"))
        .env("PATH", programs.path()?)
        .env("LD_LIBRARY_PATH", programs.libraries())
        .stop_signal(Signal::SIGKILL)
        .start(workdir, async || socket.exists())
        .await
}

fn kubeconfig_flag(path: &Path) -> String {
    format!("--kubeconfig={}", path.display())
}
