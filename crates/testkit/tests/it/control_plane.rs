//! The control plane serves requests under RBAC.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use testkit::control_plane::{Audit, ControlPlane, ControlPlaneOptions, client_of};
use testkit::wait::wait_for;

#[tokio::test]
async fn a_service_account_is_known_and_has_no_rights_until_given_some() -> Result<()> {
    let options = ControlPlaneOptions {
        audit: Audit::Metadata,
        ..ControlPlaneOptions::default()
    };
    let mut control_plane = ControlPlane::start(options).await?;
    let client = control_plane.client().await?;
    assert!(
        Api::<Namespace>::all(client.clone())
            .get_opt("default")
            .await?
            .is_some()
    );

    control_plane.create_namespace("shop").await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "shop");
    wait_for("the ServiceAccount", async || {
        Ok(accounts.get_opt("default").await?)
    })
    .await?;
    let kubeconfig = control_plane
        .service_account_kubeconfig("shop", "default")
        .await?;
    let poor = client_of(&kubeconfig).await?;
    let refused = Api::<Namespace>::all(poor)
        .get_opt("shop")
        .await
        .unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()));

    let refusals: Vec<_> = control_plane
        .requests()?
        .into_iter()
        .filter(|request| request.user == "system:serviceaccount:shop:default")
        .collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(
        (refusals[0].status, refusals[0].resource.as_str()),
        (403, "namespaces")
    );

    control_plane.stop_apiserver().await?;
    assert!(
        Api::<Namespace>::all(client.clone())
            .get_opt("shop")
            .await
            .is_err()
    );
    control_plane.start_apiserver().await?;
    assert!(
        Api::<Namespace>::all(client)
            .get_opt("shop")
            .await?
            .is_some()
    );
    control_plane.stop().await
}
