//! The command line of the original controller, in one-dash and two-dash form.

use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgAction, Parser};
use program::flags::{self, Zap};
use webhook::settings::Probes;

use crate::admission::WebhookArgs;

/// Gives applications databases, and logins that change by themselves.
#[derive(Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the original"
)]
#[command(name = "db-controller", version)]
pub struct Args {
    /// Serves claims of this class only.
    #[arg(long, default_value = "default")]
    pub class: String,
    /// The config file; read again when it changes.
    #[arg(long, default_value = "/etc/config/config.yaml")]
    pub config_file: PathBuf,
    /// Address of /metrics, such as :8080; 0 is off.
    #[arg(long, default_value = "0")]
    pub metrics_bind_address: String,
    /// Serve /metrics over TLS, to readers whom RBAC allows it.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub metrics_secure: bool,
    /// Address of /healthz and /readyz; 0 is off.
    #[arg(long, default_value = ":8081")]
    pub health_probe_bind_address: String,
    /// Work only while holding the Lease of the class.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub leader_elect: bool,
    /// Watch these namespaces only, separated by commas; none means all.
    #[arg(long, value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Ask pods with an injected proxy which credential they use, and say it in their claims' status.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub follow_consumers: bool,
    /// Let role claims of every namespace share claims that list none, as the original does.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub role_claims_from_any_namespace: bool,
    /// Cluster access outside a cluster.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub webhook: WebhookArgs,
    /// Injected sidecars are asked whether they are ready.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub enable_sidecar_readiness_probe: bool,
    /// Injected sidecars are asked whether they live.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub enable_sidecar_liveness_probe: bool,
    /// As --webhook-bind-address=:9443, unless that is given.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub enable_db_proxy: bool,
    /// The same: which pods are converted, is said by the registration.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub enable_deprecation_conversion_webhook: bool,
    #[command(flatten)]
    pub zap: Zap,

    // Flags of the original that change nothing here, or nothing yet.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub enable_http2: Option<String>,
    #[arg(long, hide = true)]
    pub dsnexec_sidecar_config_path: Option<String>,
    #[arg(long, hide = true)]
    pub metrics_dep_yaml: Option<String>,
    #[arg(long, hide = true)]
    pub metrics_config_yaml: Option<String>,
}

/// Where a pod finds the namespace of its service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

impl Args {
    /// The process's own arguments.
    pub fn from_env() -> Self {
        Self::parse_from(flags::arguments())
    }

    /// The controller's own namespace: `SERVICE_NAMESPACE`, else the service account's.
    pub fn namespace(&self) -> anyhow::Result<String> {
        if let Some(namespace) = std::env::var("SERVICE_NAMESPACE")
            .ok()
            .filter(|n| !n.is_empty())
        {
            return Ok(namespace);
        }
        let namespace = std::fs::read_to_string(NAMESPACE_FILE)
            .context("SERVICE_NAMESPACE must name the controller's own namespace")?;
        Ok(namespace.trim().to_owned())
    }

    /// Where the webhook listens: the original's port, if its flags ask for one and nothing more.
    pub(crate) fn webhook_address(&self) -> &str {
        let is_asked = self.enable_db_proxy || self.enable_deprecation_conversion_webhook;
        match self.webhook.webhook_bind_address.as_str() {
            "0" | "" if is_asked => ":9443",
            address => address,
        }
    }

    pub(crate) fn sidecar_probes(&self) -> Probes {
        Probes {
            readiness: self.enable_sidecar_readiness_probe,
            liveness: self.enable_sidecar_liveness_probe,
        }
    }

    /// Says once which flags were given that do nothing.
    pub(crate) fn warn_of_ignored(&self) {
        let given = [
            (
                "dsnexec-sidecar-config-path",
                &self.dsnexec_sidecar_config_path,
            ),
            ("metrics-dep-yaml", &self.metrics_dep_yaml),
            ("metrics-config-yaml", &self.metrics_config_yaml),
        ];
        for (flag, value) in given {
            if value.as_deref().is_some_and(|value| value != "false") {
                tracing::warn!(flag, "this flag has no effect in this version");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use program::{flags::with_two_dashes, logs::Format};
    use tracing::Level;

    use super::*;

    fn parse(arguments: &[&str]) -> Args {
        let all = std::iter::once("db-controller").chain(arguments.iter().copied());
        Args::try_parse_from(all.map(OsString::from).map(with_two_dashes)).unwrap()
    }

    #[test]
    fn row_89_flags_are_taken_in_every_form_of_the_original() {
        let args = parse(&["-class=blue", "--config-file", "/c", "-leader-elect"]);
        assert_eq!((args.class.as_str(), args.leader_elect), ("blue", true));
        assert_eq!(args.config_file, PathBuf::from("/c"));
        let args = parse(&["--leader-elect=false", "--metrics-bind-address=:8080"]);
        assert_eq!(
            (args.leader_elect, args.metrics_bind_address.as_str()),
            (false, ":8080")
        );
        let args = parse(&["--zap-log-level=2", "--zap-encoder=json", "--zap-devel"]);
        assert_eq!(
            (args.zap.level(), args.zap.format()),
            (Some(Level::DEBUG), Format::Json)
        );
        parse(&[
            "--metrics-dep-yaml",
            "/x",
            "--enable-db-proxy=false",
            "-metrics-secure",
        ]);
        assert_eq!(
            parse(&["--watch-namespaces=a,b"]).watch_namespaces,
            ["a", "b"]
        );
    }

    #[test]
    fn row_89_the_webhook_is_off_unless_its_address_or_a_flag_of_the_original_asks_for_it() {
        for (arguments, address) in [
            (&[][..], "0"),
            (&["--enable-db-proxy=false"], "0"),
            (&["--enable-db-proxy"], ":9443"),
            (&["-enable-deprecation-conversion-webhook"], ":9443"),
            (&["--enable-db-proxy", "--webhook-bind-address=:1"], ":1"),
        ] {
            assert_eq!(parse(arguments).webhook_address(), address, "{arguments:?}");
        }
    }
}
