//! `adopt`: makes a claim for a database that exists already.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::claim::DatabaseClaim;
use api::conditions::{self, Type};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::Ended;
use crate::args::{Adopting, Output};
use crate::ask::{self, Waited};
use crate::cluster::Cluster;
use crate::output;

pub(crate) async fn run(cluster: &Cluster, adopting: &Adopting, output: Output) -> Result<Ended> {
    let Adopting { claim: name, .. } = adopting;
    check(&adopting.dsn)?;
    let manifest = manifest(cluster, adopting);
    if adopting.dry_run {
        output::json(&manifest)?;
        return Ok(Ended::Well);
    }
    let secret = cluster
        .api::<Secret>()
        .get_metadata_opt(&adopting.secret)
        .await;
    // Who may not read Secrets may still name one.
    if let Ok(None) = secret {
        bail!(
            "there is no Secret {} in namespace {}; make it first, with the admin's password in key password",
            adopting.secret,
            cluster.namespace
        );
    }
    let claim: DatabaseClaim = serde_json::from_value(manifest)?;
    let created = cluster.api().create(&PostParams::default(), &claim).await;
    created.with_context(|| format!("cannot make claim {name}"))?;
    let patience = Duration::from(adopting.timeout);
    let waited = ask::until(cluster, name, patience, |found| {
        conditions::is_true(found.conditions(), Type::Ready).then(|| found.summary())
    });
    let summary = match waited.await? {
        Waited::Done(summary) => summary,
        Waited::InVain(why) => {
            eprintln!("claim {name} is made, and not ready within {patience:?}: {why}");
            return Ok(Ended::NotReady);
        }
    };
    match output {
        Output::Json => output::json(&summary)?,
        Output::Text => println!(
            "claim {name} is ready: Secret {} has login {}",
            summary.secret,
            summary.login.unwrap_or_default()
        ),
    }
    Ok(Ended::Well)
}

/// Refuses a password, which others on the machine see on a command line. Quotes nothing.
fn check(dsn: &str) -> Result<()> {
    let Some((scheme, rest)) = dsn.split_once("://") else {
        bail!("--dsn is no URI");
    };
    if !["postgres", "postgresql", "mongodb", "mongodb+srv"].contains(&scheme) {
        bail!("--dsn begins with neither postgres:// nor mongodb://");
    }
    // Whatever stands before the last @ may be a password with an odd character in it.
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    let in_query = dsn.to_lowercase().contains("password=");
    if in_query || user.is_some_and(|user| user.contains(':')) {
        bail!("--dsn holds a password; leave it out, --secret names where it is");
    }
    Ok(())
}

/// The claim that is made. Where the database is, is said by the connection string; who may change
/// it, by the Secret.
fn manifest(cluster: &Cluster, adopting: &Adopting) -> Value {
    let owner = adopting.user_name.as_ref().unwrap_or(&adopting.claim);
    let mut spec = json!({
        "class": adopting.class,
        "userName": owner,
        "databaseName": adopting.claim,
        "useExistingSource": true,
        "sourceDataFrom": { "type": "database", "database": {
            "dsn": adopting.dsn, "secretRef": { "name": adopting.secret },
        } },
    });
    if adopting.dsn.starts_with("mongodb")
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("type".to_owned(), json!("mongodb"));
    }
    let api_version = <DatabaseClaim as kube::Resource>::api_version(&());
    json!({
        "apiVersion": api_version,
        "kind": "DatabaseClaim",
        "metadata": { "name": adopting.claim, "namespace": cluster.namespace },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_on_the_command_line_is_refused_and_not_repeated() {
        for good in [
            "postgres://admin@db:5432/orders?sslmode=require",
            "mongodb://db1:27017,db2:27017/desktop?replicaSet=rs0",
            "postgres://db/orders",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "postgres://admin:s3cret@db/orders",
            "postgres://db/orders?user=admin&password=s3cret",
            "postgres://admin:s3@cret@db/orders",
            "mysql://db/orders",
            "host=db password=s3cret",
        ] {
            let said = check(bad).map_err(|err| err.to_string());
            assert!(said.is_err_and(|said| !said.contains("s3")), "{bad}");
        }
    }
}
