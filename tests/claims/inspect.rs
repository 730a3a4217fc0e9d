//! Asked, the controller says who is logged in, and what it would do.

use anyhow::{Context, Result};
use api::names::secret_key as key;
use testkit::env;
use testkit::postgres::{connect, execute, quote};

use super::source::owned_database;
use crate::support::{Stage, existing, own, uri};

#[tokio::test]
async fn a_claim_tells_its_sessions_and_what_would_be_done() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let role = own("clerk");
        stage.claim("shop", existing(&role, &admin)).await?;
        stage.ready("shop").await?;
        let secret = stage.secret("shop").await?;
        let login = secret.get(key::USERNAME).context("no login")?;
        let _one = connect(&uri(&secret)).await?;
        let _two = connect(&uri(&secret)).await?;
        let harm = format!("REVOKE {} FROM {}", quote(&role), quote(login));
        execute(&env.postgres().superuser().url(), &harm).await?;
        let told = stage.inspect("shop").await?;
        assert_eq!(told.plan, [format!("making {login} a member of {role}")]);
        let [group] = told.sessions.as_slice() else {
            anyhow::bail!("{told:?}");
        };
        assert_eq!(
            (&group.login, group.count, told.session_count),
            (login, 2, 2)
        );
        assert!(
            group.since.is_some() && group.address.is_some(),
            "{group:?}"
        );

        // It told before it did it.
        stage.event("shop", "ServerRepaired").await?;
        let quiet = stage.inspect("shop").await?;
        assert_eq!((quiet.plan.len(), quiet.session_count), (0, 2), "{quiet:?}");

        // A rotation that waits says for whom.
        stage.rotate("shop").await?;
        stage.ask_rotation("shop").await?;
        let reason = api::conditions::Type::Rotating;
        stage.condition("shop", reason, "Deferred").await?;
        let told = stage.inspect("shop").await?;
        let [waits] = told.plan.as_slice() else {
            anyhow::bail!("{told:?}");
        };
        let words = format!("waiting for 2 sessions of login {login}");
        assert!(waits.starts_with(&words), "{waits}");
        Ok(())
    })
    .await
}
