//! In each mode the chart's rights are enough for all the controller does, and reach no further.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use testkit::assets::workspace;
use testkit::control_plane::{Audit, ControlPlane, ControlPlaneOptions, client_of};
use testkit::controller::{ControllerOptions, ControllerProcess, Election};
use testkit::{TestEnv, env};

use crate::admins::stage::Server;

use super::helm::{NAMESPACE, RELEASE, Rendered};
use crate::support::{Stage, log_in, merge, own};

/// A namespace that is served in both modes, and one that is not in namespaced mode.
const SHOP: &str = "shop";
const OTHER: &str = "other";

const NAMESPACED: &str = "watchNamespaces: [shop]";
const ROTATED: &str = "{watchNamespaces: [shop], adminRotation: {enabled: true}}";

/// A request as the audit log has it.
struct Asked {
    verb: String,
    path: String,
    status: u64,
}

/// What `user` has asked for, from the `from`th request of the log on.
fn asked(control_plane: &ControlPlane, user: &str, from: usize) -> Result<Vec<Asked>> {
    let log = control_plane.kubeconfig_path().with_file_name("audit.log");
    let text = std::fs::read_to_string(log)?;
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let mut found = Vec::new();
    for line in whole.skip(from) {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| {
            let found = event.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        if text("/user/username") == user {
            let status = event.pointer("/responseStatus/code");
            found.push(Asked {
                verb: text("/verb"),
                path: text("/requestURI"),
                status: status.and_then(Value::as_u64).unwrap_or_default(),
            });
        }
    }
    Ok(found)
}

fn log_length(control_plane: &ControlPlane) -> Result<usize> {
    let log = control_plane.kubeconfig_path().with_file_name("audit.log");
    Ok(std::fs::read_to_string(log)?.lines().count())
}

/// The test's servers and the release that is installed there.
struct Installed<'a> {
    env: &'a TestEnv,
    control_plane: &'a ControlPlane,
    kubeconfig: String,
    user: String,
    arguments: Vec<String>,
}

impl Installed<'_> {
    fn stage(client: Client, namespace: &str) -> Stage {
        let namespace = namespace.to_owned();
        Stage { client, namespace }
    }

    async fn controller(&self) -> Result<ControllerProcess> {
        let watch = self
            .arguments
            .iter()
            .filter(|argument| argument.starts_with("--watch"));
        let options = ControllerOptions {
            kubeconfig: self.kubeconfig.clone(),
            class: "default".to_owned(),
            namespace: NAMESPACE.to_owned(),
            election: Election::On,
            args: watch.cloned().collect(),
            ..ControllerOptions::default()
        };
        self.env.start_controller(options).await
    }

    async fn stages(&self) -> Result<[Stage; 2]> {
        let client = self.control_plane.client().await?;
        Ok([SHOP, OTHER].map(|namespace| Self::stage(client.clone(), namespace)))
    }

    /// What the release's account may do by itself.
    async fn account(&self) -> Result<Client> {
        client_of(&self.kubeconfig).await
    }

    /// The whole life of a claim.
    async fn serves(&self, stage: &Stage, server: &str) -> Result<()> {
        let clerk = own("clerk");
        stage.claim("orders", claim(server, &clerk)).await?;
        stage.ready("orders").await?;
        stage.rotate("orders").await?;
        assert_eq!(log_in(&stage.secret("orders").await?).await?, clerk);
        stage.delete("orders").await
    }

    /// Every request was allowed, and Secrets were listed by our label or one by one only.
    fn asked_for_no_more(&self, from: usize) -> Result<Vec<Asked>> {
        let all = asked(self.control_plane, &self.user, from)?;
        assert!(!all.is_empty(), "the log has no request of {}", self.user);
        for Asked { verb, path, status } in &all {
            // Events about DatabaseServers go there; in namespaced mode the chart's README waives them.
            let is_waived = path.contains("/namespaces/default/events");
            assert!(*status != 403 || is_waived, "{verb} {path}");
            if ["list", "watch"].contains(&verb.as_str()) && path.contains("/secrets") {
                let is_narrow = [
                    "labelSelector=app.kubernetes.io",
                    "fieldSelector=metadata.name",
                ];
                assert!(is_narrow.iter().any(|by| path.contains(by)), "{path}");
            }
        }
        Ok(all)
    }
}

fn claim(server: &str, user: &str) -> Value {
    let mut spec = json!({ "userName": user, "databaseName": own("orders") });
    let more = json!({ "class": "default", "server": server, "reclaimPolicy": "Delete" });
    merge(&mut spec, more);
    spec
}

fn is_forbidden<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}

/// Installs the chart with these values, runs `body`, and removes it.
async fn installed(
    env: &TestEnv,
    control_plane: &ControlPlane,
    values: &str,
    body: impl AsyncFnOnce(&Installed<'_>) -> Result<()>,
) -> Result<()> {
    let chart = control_plane
        .install_chart(RELEASE, NAMESPACE, values)
        .await?;
    let account = &chart.service_account;
    let kubeconfig = control_plane
        .service_account_kubeconfig(NAMESPACE, account)
        .await?;
    let installed = Installed {
        env,
        control_plane,
        kubeconfig,
        user: format!("system:serviceaccount:{NAMESPACE}:{account}"),
        arguments: Rendered::from(values)?.arguments()?,
    };
    body(&installed).await?;
    control_plane.uninstall_chart(&chart).await
}

async fn in_namespaced_mode(it: &Installed<'_>, server: &str) -> Result<()> {
    let [shop, other] = it.stages().await?;
    let from = log_length(it.control_plane)?;
    let controller = it.controller().await?;
    let spec = claim(server, &own("clerk"));
    other.claim("orders", spec).await?;
    it.serves(&shop, server).await?;
    let ignored = other.get("orders").await?;
    assert!(ignored.status.is_none() && ignored.metadata.finalizers.is_none());
    controller.stop().await?;
    let all = it.asked_for_no_more(from)?;
    let foreign = format!("/namespaces/{OTHER}/");
    assert!(all.iter().all(|asked| !asked.path.contains(&foreign)));
    other.delete("orders").await?;

    let account = it.account().await?;
    let (all, secrets) = (ListParams::default(), |namespace: &str| {
        Api::<Secret>::namespaced(account.clone(), namespace)
    });
    assert!(is_forbidden(secrets(OTHER).list(&all).await));
    assert!(is_forbidden(secrets(OTHER).get("any").await));
    assert!(is_forbidden(secrets(NAMESPACE).list(&all).await));
    assert!(is_forbidden(
        Api::<Secret>::all(account.clone()).list(&all).await
    ));
    let claims = Api::<DatabaseClaim>::all(account.clone());
    assert!(is_forbidden(claims.list(&all).await));
    let pods = |namespace: &str| Api::<Pod>::namespaced(account.clone(), namespace);
    assert!(is_forbidden(pods(OTHER).list(&all).await));
    assert!(is_forbidden(pods(SHOP).get("any").await));
    // The check itself can say no.
    assert!(!is_forbidden(secrets(SHOP).list(&all).await));
    Ok(())
}

/// The admin's credential is written beside the operator's, where no claim is served.
async fn with_rotated_admin(it: &Installed<'_>, server: &str) -> Result<()> {
    let [shop, _] = it.stages().await?;
    let from = log_length(it.control_plane)?;
    let controller = it.controller().await?;
    let admin = Server {
        stage: Installed::stage(shop.client.clone(), NAMESPACE),
        name: server.to_owned(),
    };
    admin
        .patch(json!({ "spec": { "adminRotation": {} } }))
        .await?;
    admin.published(1).await?;
    admin.rotate().await?;
    it.serves(&shop, server).await?;
    controller.stop().await?;
    it.asked_for_no_more(from)?;
    let secrets = Api::<Secret>::namespaced(it.account().await?, OTHER);
    assert!(is_forbidden(secrets.get("any").await));
    Ok(())
}

async fn in_cluster_mode(it: &Installed<'_>, server: &str) -> Result<()> {
    let [shop, other] = it.stages().await?;
    let from = log_length(it.control_plane)?;
    let controller = it.controller().await?;
    it.serves(&shop, server).await?;
    it.serves(&other, server).await?;
    controller.stop().await?;
    let all = it.asked_for_no_more(from)?;
    let watches = all.iter().filter(|asked| asked.path.contains("/secrets?"));
    assert!(watches.count() > 0, "Secrets are watched");
    let pods = Api::<Pod>::namespaced(it.account().await?, SHOP);
    assert!(is_forbidden(pods.get("any").await));
    Ok(())
}

#[tokio::test]
async fn row_80_in_each_mode_the_rights_are_enough_and_reach_no_further() -> Result<()> {
    env(async |env| {
        let control_plane = ControlPlane::start(ControlPlaneOptions {
            audit: Audit::Metadata,
            ..ControlPlaneOptions::default()
        })
        .await?;
        for namespace in [NAMESPACE, SHOP, OTHER] {
            control_plane.create_namespace(namespace).await?;
        }
        control_plane
            .install_crds(&workspace().join("config/crd"))
            .await?;
        let ops = Installed::stage(control_plane.client().await?, NAMESPACE);
        let admin = env.create_owner_admin().await?;
        let more = json!({
            "port": env.postgres().port(), "allowedNamespaces": { "names": [SHOP, OTHER] }
        });
        let server = ops.server("main", &admin, more).await.context("server")?;
        let namespaced = async |it: &Installed<'_>| in_namespaced_mode(it, &server).await;
        installed(env, &control_plane, NAMESPACED, namespaced).await?;
        let rotated = async |it: &Installed<'_>| with_rotated_admin(it, &server).await;
        installed(env, &control_plane, ROTATED, rotated).await?;
        let everywhere = async |it: &Installed<'_>| in_cluster_mode(it, &server).await;
        installed(env, &control_plane, "", everywhere).await?;
        control_plane.stop().await
    })
    .await
}
