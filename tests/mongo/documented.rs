//! What operations guide and sample show of MongoDB works as it stands there.

use std::fs;

use anyhow::{Context, Result, ensure};
use api::server::DatabaseServer;
use kube::api::{Api, PostParams};
use mongodb::bson::{Document, doc};
use serde_json::Value;
use testkit::assets::{documented, workspace};
use testkit::env;
use testkit::mongod::{Servers, Shape, client_of, log_in, run};

use super::place::write;
use crate::support::{Stage, uri};

#[tokio::test]
async fn row_96_the_documented_role_server_and_sample_of_mongodb_work() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let servers = Servers::start(Shape::Set(1)).await?;
        let root = servers.root()?;
        let role = documented("docs/operations.md", "json", "createRole")?;
        run(&root, "admin", serde_json::from_str::<Document>(&role)?).await?;
        let admin = doc! { "createUser": "clerk", "pwd": "of-clerk", "roles": ["dbController"] };
        run(&root, "admin", admin).await?;

        let login = [("username", "clerk"), ("password", "of-clerk")];
        stage.put_secret("documents-admin", &login).await?;
        let server = documented("docs/operations.md", "yaml", "engine: mongodb")?;
        let mut server: DatabaseServer = serde_saphyr::from_str(&server)?;
        let name = format!("documents-{}", stage.namespace);
        server.metadata.name = Some(name.clone());
        let spec = &mut server.spec;
        spec.host = "127.0.0.1".to_owned();
        spec.port = servers.ports().next().map(i32::from);
        spec.ssl_mode = Some("disable".to_owned());
        spec.mongodb.as_mut().context("no mongodb")?.members.clear();
        spec.admin_secret_ref.namespace = Some(stage.namespace.clone());
        let admitted = spec
            .allowed_namespaces
            .as_mut()
            .context("nobody is admitted")?;
        admitted.names = vec![stage.namespace.clone()];
        let api = Api::<DatabaseServer>::all(stage.client.clone());
        api.create(&PostParams::default(), &server).await?;

        let sample = fs::read_to_string(workspace().join("config/samples/mongodb.yaml"))?;
        let sample: Value = serde_saphyr::from_str(&sample)?;
        let mut spec = sample.get("spec").context("no spec")?.clone();
        ensure!(spec["server"] == "documents", "{spec}");
        spec["server"] = Value::String(name);
        stage.claim("desktop", spec).await?;
        stage.ready("desktop").await?;
        let published = uri(&stage.secret("desktop").await?);
        log_in(&published).await?;
        let client = client_of(&published).await?;
        write(&client, "desktop").await?;
        write(&client, "image").await
    })
    .await
}
