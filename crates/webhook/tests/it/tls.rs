//! Handshakes and certificates.

use anyhow::{Context, Result};
use kube::{Client, Config};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use testkit::pki::Authority;

use crate::stage::{Stage, leaf};

/// A client that trusts these authorities only, and has no connection yet.
fn client(stage: &Stage, trusted: &[&Authority]) -> Result<Client> {
    let bundle: String = trusted.iter().map(|authority| authority.pem()).collect();
    trusting(stage, &bundle)
}

/// The same for authorities in PEM.
pub(crate) fn trusting(stage: &Stage, bundle: &str) -> Result<Client> {
    let mut config = Config::new(format!("https://{}", stage.address).parse()?);
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle.as_bytes()).collect();
    config.root_cert = Some(roots?.into_iter().map(|root| root.to_vec()).collect());
    Ok(Client::try_from(config)?)
}

/// Asks about a pod without labels.
pub(crate) async fn ask(client: &Client) -> Result<()> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "userInfo": {},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "till"}},
            "oldObject": null,
        },
    });
    let request = axum::http::Request::post("/mutate--v1-pod").body(review.to_string().into())?;
    let answer: Value = client.request(request).await?;
    let allowed = answer.pointer("/response/allowed");
    anyhow::ensure!(allowed == Some(&json!(true)), "{answer}");
    Ok(())
}

#[tokio::test]
async fn row_59_a_new_certificate_is_presented_without_a_restart() -> Result<()> {
    let old = Authority::new("old")?;
    let new = Authority::new("new")?;
    let stage = Stage::start(&old).await?;
    let connected = client(&stage, &[&old])?;
    ask(&connected).await?;
    assert!(ask(&client(&stage, &[&new])?).await.is_err());
    stage.presented.replace(&leaf(&new)?)?;
    ask(&client(&stage, &[&new])?).await?;
    assert!(ask(&client(&stage, &[&old])?).await.is_err());
    ask(&connected)
        .await
        .context("a connection that was open")?;
    drop(connected);
    stage.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_no_review_fails_while_certificates_change() -> Result<()> {
    let old = Authority::new("old")?;
    let new = Authority::new("new")?;
    let stage = Stage::start(&old).await?;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let clients: Result<Vec<_>> = (0..20).map(|_| client(&stage, &[&old, &new])).collect();
        let clients = clients?;
        askers.spawn(async move {
            for client in clients {
                ask(&client).await?;
            }
            anyhow::Ok(())
        });
    }
    let leaves = [leaf(&new)?, leaf(&old)?];
    let mut swaps = leaves.iter().cycle();
    while !askers.is_empty() {
        let next = swaps.next().context("a cycle ends")?;
        stage.presented.replace(next)?;
        if let Some(ended) = askers.try_join_next() {
            ended??;
        }
        tokio::task::yield_now().await;
    }
    stage.stop().await
}

#[tokio::test]
async fn row_59_a_certificate_that_cannot_be_used_leaves_the_present_one() -> Result<()> {
    let authority = Authority::new("only")?;
    let stage = Stage::start(&authority).await?;
    let mut mixed = leaf(&authority)?;
    mixed.key = leaf(&authority)?.key;
    assert!(stage.presented.replace(&mixed).is_err());
    mixed.chain = "no certificate".to_owned();
    assert!(stage.presented.replace(&mixed).is_err());
    ask(&client(&stage, &[&authority])?).await?;
    stage.stop().await
}
