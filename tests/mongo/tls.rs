//! TLS from the admin's connection to what applications get.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use serde_json::{Value, json};
use testkit::env;
use testkit::mongod::{Options, Servers, Shape, log_in};
use testkit::pki::Authority;
use testkit::process::Workdir;

use super::place::{DATABASES, Place, made};
use crate::support::{Stage, Texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_goes_from_the_server_object_to_applications_of_mongodb() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let authority = Authority::new("of the server")?;
        let options = Options {
            authority: Some(&authority),
            ..Options::default()
        };
        let servers = Servers::start_with(Shape::Set(1), &options).await?;
        let place = Place::of(servers, &DATABASES, "of-the-controller").await?;
        let with = |ca: &str| -> Value { json!({ "sslMode": "verify-full", "caBundle": ca }) };
        let server = place
            .register_with(&stage, "vault", with(&authority.pem()))
            .await?;
        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        stage.ready("shop").await?;
        for _ in 0..2 {
            let published = stage.secret("shop").await?;
            ensure!(published[key::CA] == authority.pem());
            ensure!(published[key::TLS] == "true", "{}", published[key::TLS]);
            log_in_trusting(&published, &published[key::CA], "").await?;
            stage.rotate("shop").await?;
        }
        let impatient = "&serverSelectionTimeoutMS=2000";
        let other = Authority::new("of somebody else")?.pem();
        let published = stage.secret("shop").await?;
        let stranger = log_in_trusting(&published, &other, impatient).await;
        let err = stranger.err().context("a stranger is trusted")?;
        ensure!(format!("{err:#}").contains("UnknownIssuer"), "{err:#}");

        let stranger = place
            .register_with(&stage, "stranger", with(&other))
            .await?;
        stage
            .claim("lost", made("seller", "image", &stranger))
            .await?;
        let ready = stage.condition("lost", Type::Ready, "Unavailable").await?;
        ensure!(ready.message.contains("UnknownIssuer"), "{}", ready.message);
        ensure!(stage.secrets().get_opt("lost").await?.is_none());
        Ok(())
    })
    .await
}

/// With the published URI, as an application that trusts this authority.
async fn log_in_trusting(published: &Texts, ca: &str, options: &str) -> Result<()> {
    let workdir = Workdir::new("mongo")?;
    let file = workdir.write("ca.crt", ca)?;
    let uri = &published[key::URI];
    log_in(&format!("{uri}&tlsCAFile={}{options}", file.display()).into()).await
}
