//! TLS to the server, from the admin's connection to what applications get; and with it addresses
//! and parameters that connection strings must carry on.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::secret_key as key;
use api::server::DatabaseServer;
use kube::Api;
use kube::api::{Patch, PatchParams};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::assets;
use testkit::env;
use testkit::pki::Authority;
use testkit::postgres::{Dsn, PostgresServer};
use testkit::process::Workdir;
use testkit::wait::wait_for;

use crate::support::{Stage, Texts, existing, merge};

/// A server that demands TLS, its admin, and the certificate of its CA.
async fn server() -> Result<(PostgresServer, Dsn, String)> {
    let server = PostgresServer::builder().with_tls().start().await?;
    let admin = server.create_owner_admin().await?.dsn;
    let ca = std::fs::read_to_string(server.ca_file().context("a server without CA")?)?;
    Ok((server, admin, ca))
}

/// Asks through libpq, with nothing but what a published Secret holds.
fn psql(published: &Texts, key: &str, sql: &str) -> Result<String> {
    let workdir = Workdir::new("psql")?;
    let ca = workdir.write(
        "ca.crt",
        published.get(key::CA).context("a Secret without CA")?,
    )?;
    let dsn = published
        .get(key)
        .with_context(|| format!("no key {key}"))?;
    let program = assets::postgres::binaries(assets::postgres::DEFAULT_MAJOR)?.join("psql");
    let mut command = Command::new(program);
    command.args(["-qXAtc", sql, dsn]).env("PGSSLROOTCERT", ca);
    let output = command.output().context("cannot run psql")?;
    ensure!(
        output.status.success(),
        "psql with {key}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn fresh(name: &str, server: &str) -> Value {
    let (user, database) = (format!("{name}_clerk"), format!("{name}_orders"));
    json!({ "userName": user, "databaseName": database, "server": server })
}

#[tokio::test]
async fn row_93_verify_full_and_its_ca_go_from_the_server_object_to_applications() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let (postgres, admin, ca) = server().await?;
        let more = json!({
            "port": postgres.port(), "sslMode": "verify-full", "caBundle": ca,
        });
        let server = stage.server("vault", &admin, more).await?;
        stage.claim("shop", fresh("shop", &server)).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        assert_eq!(published[key::CA], ca);
        assert_eq!(published[key::SSL_MODE], "verify-full");
        for key in [
            key::URI_DSN,
            key::READ_ONLY_URI_DSN,
            key::URI,
            key::JDBC_URI,
            key::DSN,
        ] {
            let dsn = &published[key];
            assert!(dsn.contains("sslmode=verify-full"), "{key}");
        }
        // A login sees this row, the owner role that it acts as does not.
        let is_encrypted =
            "SET ROLE none; SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        for key in [key::URI_DSN, key::READ_ONLY_URI_DSN, key::URI, key::DSN] {
            assert_eq!(psql(&published, key, is_encrypted)?, "t", "{key}");
        }
        // A CA is replaced by adding the next one first: applications must get both.
        let both = format!("{ca}{}", Authority::new("the next one")?.pem());
        let servers: Api<DatabaseServer> = Api::all(env.client());
        let patch = Patch::Merge(json!({ "spec": { "caBundle": both } }));
        servers
            .patch(&server, &PatchParams::default(), &patch)
            .await?;
        wait_for("the next CA to be published", async || {
            Ok((stage.secret("shop").await?[key::CA] == both).then_some(()))
        })
        .await?;
        let after = stage.secret("shop").await?;
        assert_eq!(
            after[key::PASSWORD],
            published[key::PASSWORD],
            "pods keep what they hold"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_93_an_ipv6_source_with_a_ca_and_parameters_is_published_whole() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let (postgres, admin, ca) = server().await?;
        postgres.create_database("orders", admin.login()).await?;
        let port = postgres.port();
        let source = Dsn::new("::1", port, admin.login(), admin.password().clone())
            .database("orders")
            .parameter("sslmode", "verify-full")
            .parameter("sslrootcert", "/nowhere/ca.crt")
            .parameter("application_name", "till one")
            .parameter("sslcert", "/nowhere/tls.crt")
            .parameter("sslkey", "/nowhere/tls.key")
            .parameter("connect_timeout", "7")
            .parameter("target_session_attrs", "read-write")
            .parameter("passfile", "/nowhere/pgpass")
            .parameter("options", "-c geqo=off");
        let uri = source.url();
        let data = [(key::URI_DSN, uri.expose_secret()), (key::CA, ca.as_str())];
        stage.put_secret("source", &data).await?;
        let mut spec = existing("clerk", &source);
        let database = json!({ "dsn": null, "secretRef": { "name": "source" } });
        merge(&mut spec, json!({ "sourceDataFrom": { "database": database } }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;

        let published = stage.secret("shop").await?;
        assert_eq!(published[key::CA], ca);
        for (key, value) in &published {
            let is_local = value.contains("/nowhere") || value.contains("%2Fnowhere");
            assert!(!is_local, "{key} names a file of somebody else");
        }
        for key in [key::HOSTNAME, key::HOST] {
            assert_eq!(published[key], "::1", "{key}");
        }
        let words = &published[key::DSN];
        assert!(words.starts_with(&format!("host=::1 port={port} ")));
        assert!(words.ends_with(
            r" sslmode=verify-full application_name=till\ one connect_timeout=7 target_session_attrs=read-write options=-c\ geqo=off"
        ));
        for key in [key::URI_DSN, key::READ_ONLY_URI_DSN, key::URI, key::JDBC_URI] {
            let uri = &published[key];
            assert!(uri.contains(&format!("[::1]:{port}/orders?")), "{key}");
            assert!(uri.ends_with(
                "sslmode=verify-full&application_name=till%20one&connect_timeout=7&target_session_attrs=read-write&options=-c%20geqo%3Doff"
            ), "{key}");
        }
        let settings = "SELECT current_user || ' ' || current_setting('application_name') || ' ' || current_setting('geqo')";
        for key in [key::URI_DSN, key::READ_ONLY_URI_DSN, key::URI, key::DSN] {
            assert_eq!(psql(&published, key, settings)?, "clerk till one off", "{key}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_93_a_stranger_in_the_servers_place_is_refused_with_the_reason() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let (postgres, admin, ca) = server().await?;
        let port = postgres.port();
        let other = Authority::new("somebody else")?.pem();
        // The server's certificate names localhost, 127.0.0.1 and ::1.
        let misnamed = "0.0.0.0";
        let full = |ca: &str| json!({ "port": port, "sslMode": "verify-full", "caBundle": ca });
        let by_name =
            json!({ "port": port, "host": misnamed, "sslMode": "verify-full", "caBundle": ca });
        let plain = json!({ "port": port, "sslMode": "disable" });
        let cases = [
            ("stranger", full(&other), "Unavailable", "UnknownIssuer"),
            ("misnamed", by_name, "Unavailable", "not valid for name"),
            ("plain", plain, "Forbidden", "no encryption"),
        ];
        for (name, more, reason, words) in cases {
            let server = stage.server(name, &admin, more).await?;
            stage.claim(name, fresh(name, &server)).await?;
            let ready = stage.condition(name, Type::Ready, reason).await?;
            assert!(ready.message.contains(words), "{}", ready.message);
            assert!(
                ready.message.contains(&port.to_string()),
                "{}",
                ready.message
            );
            assert!(stage.secrets().get_opt(name).await?.is_none(), "{name}");
            says_the_same(&stage, &server, words).await?;
        }
        // Only what was wrong was in the way.
        let servers: Api<DatabaseServer> = Api::all(env.client());
        for (name, change) in [
            ("stranger", json!({ "caBundle": ca })),
            ("misnamed", json!({ "sslMode": "verify-ca" })),
            ("plain", json!({ "sslMode": "require" })),
        ] {
            let server = format!("{name}-{}", env.namespace());
            let patch = Patch::Merge(json!({ "spec": change }));
            servers
                .patch(&server, &PatchParams::default(), &patch)
                .await?;
            stage.ready(name).await?;
        }
        Ok(())
    })
    .await
}

/// Waits until the DatabaseServer's own condition holds these words.
async fn says_the_same(stage: &Stage, server: &str, words: &str) -> Result<()> {
    let servers: Api<DatabaseServer> = Api::all(stage.client.clone());
    wait_for(
        format!("condition of DatabaseServer {server}"),
        async || {
            let status = servers.get(server).await?.status.unwrap_or_default();
            let ready =
                conditions::find(&status.conditions, Type::Ready).context("no condition")?;
            ensure!(
                ready.status == "False" && ready.message.contains(words),
                "{}",
                ready.message
            );
            Ok(Some(()))
        },
    )
    .await
}
