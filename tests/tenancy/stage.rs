//! Two tenants of one server.

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::secret_key as key;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use kube::{Client, Resource, core::NamespaceResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::TestEnv;
use testkit::control_plane::client_of;
use testkit::controller::ControllerProcess;
use testkit::postgres::{PostgresServer, query};
use testkit::wait::wait_for;

use crate::role_claims::RoleClaims;
use crate::support::{Stage, ask, log_in, merge, uri};

/// The name of the attacker's account.
const MALLORY: &str = "mallory";

/// The victim in the controller's namespace, and the attacker in her own; both may use server
/// `shared`, the victim alone `main`.
pub(super) struct Tenants {
    pub(super) victim: Stage,
    pub(super) mallory: Stage,
    /// Role claims that the attacker makes.
    pub(super) role_claims: RoleClaims,
    pub(super) postgres: PostgresServer,
    pub(super) main: String,
    pub(super) shared: String,
    _controller: ControllerProcess,
}

impl Tenants {
    pub(super) async fn meet(env: &TestEnv) -> Result<Self> {
        let controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let victim = Stage::of(env);
        let namespace = env.neighbour().await?;
        let port = json!({ "port": postgres.port() });
        let main = victim.server("main", &admin, port.clone()).await?;
        let mut open = json!({ "allowedNamespaces": { "names": [victim.namespace, namespace] } });
        merge(&mut open, port);
        let shared = victim.server("shared", &admin, open).await?;
        let mallory = Stage {
            client: account(env, &namespace).await?,
            namespace,
        };
        let tenants = Self {
            role_claims: RoleClaims::with(&mallory.client, &mallory.namespace, &victim.namespace),
            victim,
            mallory,
            postgres,
            main,
            shared,
            _controller: controller,
        };
        let ledger = json!({
            "userName": "keeper", "databaseName": "ledger", "server": tenants.shared,
        });
        tenants.victim.claim("ledger", ledger).await?;
        tenants.victim.ready("ledger").await?;
        let table = "CREATE TABLE secrets AS SELECT 'of the victim' AS text";
        query(&uri(&tenants.victim.secret("ledger").await?), table).await?;
        tenants.claim("mine", json!({})).await?;
        tenants.mallory.ready("mine").await?;
        Ok(tenants)
    }

    /// A claim of the attacker: on the shared server, her own names, and what `more` says.
    pub(super) async fn claim(&self, name: &str, more: Value) -> Result<()> {
        let mut spec = json!({
            "class": self.victim.namespace, "userName": format!("mallory_{name}"),
            "databaseName": format!("mallory_{name}"), "server": self.shared,
        });
        merge(&mut spec, more);
        self.mallory.claim(name, spec).await.map(drop)
    }

    /// What the controller says to a claim of the attacker that it refuses.
    pub(super) async fn refusal(&self, name: &str, more: Value) -> Result<String> {
        self.claim(name, more).await?;
        let claim = self
            .mallory
            .claim_when(name, &format!("claim {name} to be refused"), |claim| {
                let status = claim.status.as_ref();
                let ready = status.and_then(|it| conditions::find(&it.conditions, Type::Ready));
                ready.is_some_and(|ready| ready.status == "False")
            })
            .await?;
        ensure!(
            self.mallory.secrets().get_opt(name).await?.is_none(),
            "claim {name} has published something"
        );
        let status = claim.status.unwrap_or_default();
        Ok(status.error.unwrap_or_default())
    }

    /// What the controller says to a role claim of the attacker that it refuses.
    pub(super) async fn role_refusal(
        &self,
        name: &str,
        source: &str,
        more: Value,
    ) -> Result<String> {
        self.role_claims.create(name, source, more).await?;
        wait_for(format!("role claim {name} to be refused"), async || {
            let status = self.role_claims.get(name).await?.status.unwrap_or_default();
            let published = self.mallory.secrets().get_opt(name).await?;
            ensure!(
                published.is_none(),
                "role claim {name} has published something"
            );
            Ok(status.error)
        })
        .await
    }

    /// What a server says to a statement of the attacker, sent with what her claim publishes.
    pub(super) async fn sql_refusal(&self, database: Option<&str>, sql: &str) -> Result<String> {
        let secret = self.mallory.secret("mine").await?;
        let login = secret.get(key::USERNAME).context("no login")?;
        let password = secret.get(key::PASSWORD).context("no password")?;
        let dsn = self.postgres.dsn(login, password.clone().into());
        let dsn = dsn.database(database.unwrap_or("mallory_mine"));
        match query(&dsn.url(), sql).await {
            Ok(rows) => anyhow::bail!("{sql} went through: {rows:?}"),
            Err(err) => Ok(format!("{err:#}")),
        }
    }

    /// That the victim has lost and shared nothing.
    pub(super) async fn is_unharmed(&self) -> Result<()> {
        let secret = self.victim.secret("ledger").await?;
        assert_eq!(log_in(&secret).await?, "keeper");
        let rows = query(&uri(&secret), "SELECT text FROM secrets").await?;
        ensure!(rows == [[Some("of the victim".to_owned())]], "{rows:?}");
        let members = "SELECT string_agg(m.member::regrole::text, ' ' ORDER BY 1) FROM pg_auth_members m WHERE m.roleid = 'keeper'::regrole AND m.member <> 'keeper_a'::regrole AND m.member <> 'keeper_b'::regrole AND m.member::regrole::text !~ '^admin_'";
        let members = format!("SELECT coalesce(({members}), 'none')");
        assert_eq!(ask(&self.postgres, "postgres", &members).await?, "none");
        let powers = "SELECT count(*) FROM pg_roles WHERE rolname ~ '^mallory' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)";
        assert_eq!(ask(&self.postgres, "postgres", powers).await?, "0");
        Ok(())
    }
}

/// An account with every right in that namespace.
async fn account(env: &TestEnv, namespace: &str) -> Result<Client> {
    let account = json!({ "metadata": { "name": MALLORY } });
    create::<ServiceAccount>(env, namespace, account).await?;
    let all = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let role = json!({ "metadata": { "name": MALLORY }, "rules": all });
    create::<Role>(env, namespace, role).await?;
    let binding = json!({
        "metadata": { "name": MALLORY },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": MALLORY },
        "subjects": [{ "kind": "ServiceAccount", "name": MALLORY, "namespace": namespace }],
    });
    create::<RoleBinding>(env, namespace, binding).await?;
    let kubeconfig = env.cluster().service_account_kubeconfig(namespace, MALLORY);
    client_of(&kubeconfig.await?).await
}

async fn create<K>(env: &TestEnv, namespace: &str, object: Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let objects = Api::<K>::namespaced(env.client(), namespace);
    let object = serde_json::from_value(object)?;
    objects.create(&PostParams::default(), &object).await?;
    Ok(())
}
