//! The files of `secretTemplate.formats` for MongoDB, over TLS with an authority of the server's own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use serde_json::{Value, json};
use testkit::assets::clients::{Engine, Language};
use testkit::assets::workspace;
use testkit::env;
use testkit::mongod::{Options, Servers, Shape};
use testkit::pki::Authority;

use super::place::{DATABASES, Place, made};
use crate::claims::formats::ask_with;
use crate::support::{Stage, Texts, condition_of, merge};

fn log_in(published: &Texts) -> Result<Value> {
    let program = workspace().join(Path::new("tests/mongo/formats/login.js"));
    let node = Language::Node.program(Engine::Mongodb, &program)?;
    let answer = ask_with(node, published, key::NODE)?;
    serde_json::from_str(&answer).context(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_of_node_logs_in_with_its_file() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let authority = Authority::new("of the server")?;
        let options = Options {
            authority: Some(&authority),
            ..Options::default()
        };
        let servers = Servers::start_with(Shape::Set(1), &options).await?;
        let place = Place::of(servers, &DATABASES, "of-the-controller").await?;
        let full = json!({ "sslMode": "verify-full", "caBundle": authority.pem() });
        let server = place.register_with(&stage, "vault", full).await?;
        let mut spec = made("clerk", "orders", &server);
        let template = json!({ "formats": ["dotenv", "spring", "django", "node", "jdbc"] });
        merge(&mut spec, json!({ "secretTemplate": template }));
        stage.claim("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        let ignored = condition_of(&claim, Type::FieldsIgnored).context("jdbc has an effect")?;
        ensure!(
            ignored.message == "secretTemplate.formats: jdbc: only on PostgreSQL",
            "{}",
            ignored.message
        );
        for login in ["clerk_a", "clerk_b"] {
            let published = stage.secret("shop").await?;
            let (uri, texts) = (&published[key::URI], published.clone());
            let answer = tokio::task::spawn_blocking(move || log_in(&texts)).await??;
            ensure!(answer == json!([login, "orders"]), "{answer}");
            let settings: Value = serde_json::from_str(&published[key::DJANGO])?;
            ensure!(settings["HOST"] == json!(uri));
            for file in [key::DOTENV, key::SPRING] {
                ensure!(published[file].contains(uri.as_str()), "{file}");
            }
            stage.rotate("shop").await?;
        }
        Ok(())
    })
    .await
}
