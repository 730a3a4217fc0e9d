//! What people change by hand of roles and databases: put right with an Event, or only reported,
//! as the claim says.

use anyhow::{Result, ensure};
use api::conditions::{Type, find};
use api::names::secret_key as key;
use kube::ResourceExt;
use serde_json::json;
use testkit::controller::ControllerProcess;
use testkit::postgres::{Dsn, execute, quote};
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::OFTEN;
use crate::support::{Stage, ask, condition_of, log_in, own, uri};

/// A claim `shop` on a database of its own.
struct Shop<'a> {
    env: &'a TestEnv,
    stage: Stage,
    admin: Dsn,
    role: String,
    database: String,
}

impl<'a> Shop<'a> {
    async fn open(env: &'a TestEnv, policy: &str) -> Result<Self> {
        let (stage, admin) = (Stage::of(env), env.create_owner_admin().await?);
        let port = json!({ "port": env.postgres().port() });
        let server = stage.server("main", &admin, port).await?;
        let (role, database) = (own("clerk"), own("orders"));
        env.adopt_database(&database);
        for end in ["_a", "_b", ""] {
            env.adopt_role(&format!("{role}{end}"));
        }
        let spec = json!({
            "userName": role, "databaseName": database, "server": server, "driftPolicy": policy,
        });
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        Ok(Self {
            env,
            stage,
            admin,
            role,
            database,
        })
    }

    /// As the superuser; `{r}` stands for the owner role's name, `{d}` for the database's.
    async fn hand(&self, sql: &str) -> Result<()> {
        let sql = sql
            .replace("{r}", &self.role)
            .replace("{d}", &self.database);
        execute(&self.env.postgres().superuser().url(), &sql).await
    }

    async fn is(&self, condition: &str) -> Result<bool> {
        let sql = format!("SELECT ({condition})::text").replace("{r}", &self.role);
        Ok(ask(self.env.postgres(), &self.database, &sql).await? == "true")
    }

    /// Waits until an Event of that reason tells all of these words.
    async fn told(&self, reason: &str, words: &[String]) -> Result<()> {
        wait_for(format!("Event {reason} with {words:?}"), async || {
            let all = self.stage.events("shop").await?;
            let notes: Vec<_> = all.iter().filter(|(found, _)| found == reason).collect();
            let is_told = |word: &String| notes.iter().any(|(_, note)| note.contains(word));
            ensure!(words.iter().all(is_told), "{all:?}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits until condition Drifted has that reason and tells exactly this.
    async fn drifted(&self, reason: &str, words: &[String]) -> Result<()> {
        self.stage
            .claim_when("shop", "what differs", |claim| {
                let found = condition_of(claim, Type::Drifted);
                found.is_some_and(|found| {
                    let (_, list) = found.message.split_once(": ").unwrap_or_default();
                    found.reason == reason && list == words.join("; ")
                })
            })
            .await
            .map(drop)
    }

    async fn drifts_no_more(&self) -> Result<()> {
        self.stage
            .claim_when("shop", "no difference", |claim| {
                condition_of(claim, Type::Drifted).is_none()
            })
            .await
            .map(drop)
    }
}

/// Waits for passes that did work: drift checks.
async fn checks(controller: &ControllerProcess) -> Result<()> {
    let before = controller.metric("dbclaims_loaded_total").await?;
    wait_for("three more checks", async || {
        let now = controller.metric("dbclaims_loaded_total").await?;
        Ok((now >= before + 3.0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn attributes_members_and_an_open_database_are_put_right_and_the_event_says_so() -> Result<()>
{
    env(async |env| {
        let controller = env.controller(OFTEN).await?;
        let shop = Shop::open(env, "Repair").await?;
        let (role, admin) = (shop.role.as_str(), shop.admin.login());
        let ops = own("ops");
        env.adopt_role(&ops);
        shop.hand(&format!(
            "CREATE ROLE {ops}; ALTER ROLE {{r}} LOGIN CREATEDB; ALTER ROLE {{r}}_b CREATEROLE;
             SET ROLE {admin}; GRANT {{r}} TO {ops}; RESET ROLE;
             GRANT CONNECT ON DATABASE {{d}} TO PUBLIC",
            admin = quote(admin),
        ))
        .await?;
        let words = [
            format!("role {role} may log in itself"),
            format!("role {role} may create databases"),
            format!("role {role}_b may create roles"),
            format!("{ops} is a member of {role}"),
            format!("PUBLIC has CONNECT on database {}", shop.database),
        ];
        shop.told("ServerRepaired", &words).await?;
        let right = format!(
            "SELECT NOT rolcanlogin AND NOT rolcreatedb AND NOT pg_has_role('{ops}', oid, 'MEMBER') FROM pg_roles WHERE rolname = '{{r}}'"
        );
        ensure!(shop.is(&format!("({right})")).await?);
        ensure!(!shop.is("SELECT rolcreaterole FROM pg_roles WHERE rolname = '{r}_b'").await?);

        // What only a superuser can take stays, is told, and holds nothing up.
        shop.hand("ALTER ROLE {r} BYPASSRLS").await?;
        let words = [format!("role {role} bypasses row security")];
        shop.drifted("NotRepairable", &words).await?;
        shop.told("Drifted", &words).await?;
        shop.stage.rotate("shop").await?;
        log_in(&shop.stage.secret("shop").await?).await?;
        let series = format!(
            "dbcontroller_drifted_claims{{namespace=\"{}\",reason=\"NotRepairable\"}}",
            env.namespace()
        );
        let page = controller.metrics().await?;
        ensure!(page.contains(&format!("{series} 1\n")), "{page}");
        shop.hand("ALTER ROLE {r} NOBYPASSRLS").await?;
        shop.drifts_no_more().await?;
        let page = controller.metrics().await?;
        ensure!(!page.contains("dbcontroller_drifted_claims{"), "{page}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_that_only_observes_reports_once_and_still_keeps_its_credential() -> Result<()> {
    env(async |env| {
        let controller = env.controller(OFTEN).await?;
        let shop = Shop::open(env, "Observe").await?;
        let (stage, role) = (&shop.stage, shop.role.as_str());
        let published = stage.secret("shop").await?;
        let login = published[key::USERNAME].as_str();
        assert_eq!(login, format!("{role}_a"));
        shop.hand("ALTER ROLE {r} CREATEDB; ALTER ROLE {r}_b RESET role")
            .await?;
        let words = [
            format!("login {role}_b does not run as {role}"),
            format!("role {role} may create databases"),
        ];
        shop.drifted("Observed", &words).await?;
        shop.told("Drifted", &words).await?;

        // One write, however often it is found.
        let before = stage.get("shop").await?.resource_version();
        checks(&controller).await?;
        assert_eq!(stage.get("shop").await?.resource_version(), before);
        ensure!(
            shop.is("SELECT rolcreatedb FROM pg_roles WHERE rolname = '{r}'")
                .await?
        );
        let told = stage.inspect("shop").await?;
        let plan = [
            format!("not letting {role}_b run as {role}: driftPolicy is Observe"),
            format!("not making {role} NOCREATEDB: driftPolicy is Observe"),
        ];
        assert_eq!(told.plan, plan);

        // The promise is not a matter of policy.
        shop.hand("ALTER ROLE {r}_a NOLOGIN NOINHERIT PASSWORD 'byhand'")
            .await?;
        stage.event("shop", "PasswordRestored").await?;
        log_in(&published).await?;
        assert_eq!(stage.secret("shop").await?, published);
        ensure!(
            shop.is("SELECT rolinherit FROM pg_roles WHERE rolname = '{r}_a'")
                .await?
        );
        shop.drifted("Observed", &words).await?;
        // Nor is the next login's.
        stage.rotate("shop").await?;
        let next = stage.secret("shop").await?;
        assert_eq!(next[key::USERNAME], format!("{role}_b"));
        assert_eq!(log_in(&next).await?, role);
        testkit::postgres::query(&uri(&next), "CREATE TABLE t (id int)").await?;
        shop.drifted("Observed", &words[1..]).await?;

        let policy = json!({ "spec": { "driftPolicy": "Repair" } });
        stage.patch("shop", policy).await?;
        shop.drifts_no_more().await?;
        ensure!(
            !shop
                .is("SELECT rolcreatedb FROM pg_roles WHERE rolname = '{r}'")
                .await?
        );
        let claim = stage.ready("shop").await?;
        let conditions = claim.status.unwrap_or_default().conditions;
        ensure!(find(&conditions, Type::Drifted).is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rights_in_an_adopted_database_that_somebody_took_are_only_reported() -> Result<()> {
    env(async |env| {
        let controller = env.controller(OFTEN).await?;
        let (stage, admin) = (Stage::of(env), crate::claims::owned_database(env).await?);
        let made = "CREATE TABLE public.receipts (id int)";
        execute(&admin.url(), made).await?;
        let role = own("clerk");
        let mut spec = crate::support::existing(&role, &admin);
        crate::support::merge(&mut spec, json!({ "driftPolicy": "Observe" }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let take = format!("REVOKE INSERT ON public.receipts FROM {role}");
        execute(&admin.url(), &take).await?;
        let found = stage.condition("shop", Type::Drifted, "Observed").await?;
        let words = format!("owner role {role} lacks rights on table public.receipts");
        ensure!(found.message.ends_with(&words), "{}", found.message);
        checks(&controller).await?;
        // A pass that only rotates forgets nothing of what a check found.
        std::fs::write(controller.config_path(), "driftCheckPeriod: 24h\n")?;
        wait_for("the reload", async || {
            let log = controller.log()?;
            Ok(log.contains("config file reloaded").then_some(()))
        })
        .await?;
        let claim = stage.rotate("shop").await?;
        let kept = condition_of(&claim, Type::Drifted).map(|kept| &kept.message);
        assert_eq!(kept, Some(&found.message));
        let published = stage.secret("shop").await?;
        let insert = "INSERT INTO public.receipts VALUES (1)";
        ensure!(
            testkit::postgres::query(&uri(&published), insert)
                .await
                .is_err()
        );
        let policy = json!({ "spec": { "driftPolicy": "Repair" } });
        stage.patch("shop", policy).await?;
        stage
            .claim_when("shop", "no difference", |claim| {
                condition_of(claim, Type::Drifted).is_none()
            })
            .await?;
        testkit::postgres::query(&uri(&published), insert).await?;
        Ok(())
    })
    .await
}
