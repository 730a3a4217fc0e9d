//! A release on the node's cluster: the chart's registrations, rights and arguments, answered by
//! processes of the test instead of pods.

use anyhow::Result;
use testkit::assets::images;
use testkit::control_plane::{ControlPlane, InstalledChart};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::process::free_port;

/// Where releases are installed.
pub(crate) const NAMESPACE: &str = "ops";

pub(crate) struct Release {
    chart: InstalledChart,
    kubeconfig: String,
    class: String,
}

impl Release {
    /// Installs the chart for claims and pods of `class`; releases differ by it.
    pub(crate) async fn install(control_plane: &ControlPlane, class: &str) -> Result<Self> {
        let (port, tag, name) = (free_port()?, images::TAG, name_of(class));
        let values = format!(
            "fullnameOverride: {name}\ndbController: {{class: {class}}}\n\
             webhook: {{port: {port}}}\nservice: {{port: {port}}}\n\
             dbproxy: {{image: {{tag: {tag}}}}}\n\
             dsnexec: {{enabled: true, image: {{tag: {tag}}}}}\n"
        );
        let chart = control_plane
            .install_chart(&name, NAMESPACE, &values)
            .await?;
        control_plane.register_webhook(&chart).await?;
        let kubeconfig = control_plane
            .service_account_kubeconfig(NAMESPACE, &chart.service_account)
            .await?;
        Ok(Self {
            chart,
            kubeconfig,
            class: class.to_owned(),
        })
    }

    /// One replica, with the arguments and the environment of the release's pods.
    pub(crate) async fn controller(&self) -> Result<ControllerProcess> {
        ControllerProcess::start(ControllerOptions {
            kubeconfig: self.kubeconfig.clone(),
            class: self.class.clone(),
            namespace: NAMESPACE.to_owned(),
            args: self.chart.webhook_args.clone(),
            env: self.chart.webhook_env.clone(),
            ..ControllerOptions::default()
        })
        .await
    }

    /// The Secret with the webhook's certificate.
    pub(crate) fn certificate(&self) -> String {
        format!("{}-webhook", name_of(&self.class))
    }
}

/// The full name of a release.
fn name_of(class: &str) -> String {
    format!("release-{class}")
}
