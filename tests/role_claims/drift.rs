//! What people change by hand of a role claim's roles and rights.

use anyhow::{Result, ensure};
use api::conditions::{Type, find};
use api::names::secret_key as key;
use serde_json::json;
use testkit::env;
use testkit::postgres::{execute, quote};
use testkit::wait::wait_for;

use super::schemas::{Origin, Shop};
use crate::support::log_in;

#[tokio::test]
async fn a_role_claim_reports_or_repairs_as_it_says() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let shop = Shop::open(env, Origin::Made).await?;
        let (name, role) = (shop.reports.as_str(), format!("{}_user", shop.reports));
        let map = json!({ "schemarolemap": { "sales": "readonly" }, "driftPolicy": "Observe" });
        shop.role_claims.create(name, "shop", map).await?;
        let status = shop.settled().await?.status.unwrap_or_default();
        let carriers = status.schemas_status.unwrap_or_default().role_status;
        let carrier = carriers.keys().next().cloned().unwrap_or_default();
        let superuser = env.postgres().superuser();
        shop.as_owner(&format!("GRANT INSERT ON sales.t TO {}", quote(&carrier)))
            .await?;
        let published = shop.published().await?;
        let login = &published[key::USERNAME];
        let hands = format!(
            "ALTER ROLE {carrier} LOGIN; ALTER ROLE {role} CREATEDB; ALTER ROLE {login} NOLOGIN",
            carrier = quote(&carrier),
            role = quote(&role),
            login = quote(login),
        );
        execute(&superuser.url(), &hands).await?;
        let words = [
            format!("role {role} may create databases"),
            format!("role {carrier} may log in itself"),
            format!("{carrier} has INSERT on table sales.t"),
        ]
        .join("; ");
        wait_for("what differs", async || {
            let status = shop.role_claims.get(name).await?.status.unwrap_or_default();
            let found = find(&status.conditions, Type::Drifted);
            let list = found.and_then(|found| found.message.split_once(": "));
            ensure!(list.is_some_and(|(_, list)| list == words), "{found:?}");
            ensure!(found.is_some_and(|found| found.reason == "Observed"));
            Ok(Some(()))
        })
        .await?;
        let told = shop.stage.event(name, "Drifted").await?;
        ensure!(told.contains("driftPolicy"), "{told}");
        shop.stage.event(name, "PasswordRestored").await?;
        log_in(&published).await?;
        let events = shop.stage.events(name).await?;
        ensure!(
            events.iter().all(|(reason, _)| reason != "RightsRepaired"),
            "{events:?}"
        );

        let policy = json!({ "spec": { "driftPolicy": null } });
        shop.role_claims.patch(name, policy).await?;
        wait_for("no difference", async || {
            let status = shop.role_claims.get(name).await?.status.unwrap_or_default();
            Ok(find(&status.conditions, Type::Drifted).is_none().then_some(()))
        })
        .await?;
        let right = format!(
            "SELECT (NOT has_table_privilege('{carrier}', 'sales.t', 'INSERT') AND NOT bool_or(rolcreatedb OR rolcanlogin))::text FROM pg_roles WHERE rolname IN ('{carrier}', '{role}')"
        );
        assert_eq!(shop.count(env, &right).await?, "true");
        // Now it repairs, and says so.
        shop.settled().await?;
        execute(&superuser.url(), &hands).await?;
        let note = shop.stage.event(name, "ServerRepaired").await?;
        ensure!(note.contains(&format!("role {role} may create databases")), "{note}");
        Ok(())
    })
    .await
}
