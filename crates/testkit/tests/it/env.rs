//! A test's environment: the chart's rights hold in it, and a failing body fails the test.

use std::panic::AssertUnwindSafe;

use anyhow::Result;
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use testkit::control_plane::client_of;

#[tokio::test]
async fn the_charts_account_may_do_what_its_role_says_and_no_more() -> Result<()> {
    testkit::env(async |env| {
        let kubeconfig = env.install_chart("").await?;
        let client = client_of(&kubeconfig).await?;
        Api::<Namespace>::all(client.clone())
            .get(env.namespace())
            .await?;
        let pods: Api<Pod> = Api::namespaced(client, env.namespace());
        let refused = pods.get_opt("any").await.unwrap_err();
        assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_panic_and_an_error_of_the_body_come_out_again() {
    let panicking = testkit::env(async |_| panic!("as the test wishes"));
    let panic = AssertUnwindSafe(panicking)
        .catch_unwind()
        .await
        .unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as the test wishes"));
    let failed = testkit::env(async |_| anyhow::bail!("no such luck")).await;
    assert_eq!(failed.unwrap_err().to_string(), "no such luck");
}
