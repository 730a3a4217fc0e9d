//! What several stories need: claims, Secrets and waits in a few words.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use api::claim::{DatabaseClaim, Inspection, Revocation};
use api::conditions::{self, Type};
use api::names::{annotation, secret_key};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use testkit::postgres::{Dsn, PostgresAccess, query_one};
use testkit::wait::wait_for;
use testkit::{TestEnv, names};

/// The data of a Secret, as text.
pub(crate) type Texts = BTreeMap<String, String>;

/// A namespace of a cluster and the class of the controller that serves it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Stage {
    pub(crate) fn of(env: &TestEnv) -> Self {
        Self {
            client: env.client(),
            namespace: env.namespace().to_owned(),
        }
    }

    pub(crate) fn claims(&self) -> Api<DatabaseClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a claim of the namespace's class.
    pub(crate) async fn claim(&self, name: &str, spec: Value) -> Result<DatabaseClaim> {
        let mut object = json!({
            "metadata": { "name": name }, "spec": { "class": self.namespace }
        });
        merge(&mut object, json!({ "spec": spec }));
        let claim: DatabaseClaim = serde_json::from_value(object)?;
        let claims = self.claims();
        let created = claims.create(&PostParams::default(), &claim).await;
        created.with_context(|| format!("cannot create claim {name}"))
    }

    pub(crate) async fn get(&self, name: &str) -> Result<DatabaseClaim> {
        Ok(self.claims().get(name).await?)
    }

    /// Merges `patch` into the claim.
    pub(crate) async fn patch(&self, name: &str, patch: Value) -> Result<DatabaseClaim> {
        let (claims, params) = (self.claims(), PatchParams::default());
        Ok(claims.patch(name, &params, &Patch::Merge(patch)).await?)
    }

    /// Waits until the claim as it is now is Ready.
    pub(crate) async fn ready(&self, name: &str) -> Result<DatabaseClaim> {
        let what = format!("claim {name} to be Ready");
        self.claim_when(name, &what, |claim| {
            condition_of(claim, Type::Ready).is_some_and(|ready| {
                ready.status == "True" && ready.observed_generation == claim.metadata.generation
            })
        })
        .await
    }

    /// Waits until the claim is as `is_so` says.
    pub(crate) async fn claim_when(
        &self,
        name: &str,
        what: &str,
        mut is_so: impl FnMut(&DatabaseClaim) -> bool,
    ) -> Result<DatabaseClaim> {
        wait_for(what, async || {
            let claim = self.get(name).await?;
            ensure!(
                is_so(&claim),
                "status: {}",
                serde_json::to_string(&claim.status)?
            );
            Ok(Some(claim))
        })
        .await
    }

    /// Waits for a condition of that type and reason.
    pub(crate) async fn condition(
        &self,
        name: &str,
        type_: Type,
        reason: &str,
    ) -> Result<Condition> {
        let what = format!("condition {type_:?} with reason {reason} of claim {name}");
        let claim = self
            .claim_when(name, &what, |claim| {
                condition_of(claim, type_).is_some_and(|found| found.reason == reason)
            })
            .await?;
        condition_of(&claim, type_).cloned().context("it is there")
    }

    /// Asks for a rotation and waits until it is done and recorded.
    pub(crate) async fn rotate(&self, name: &str) -> Result<DatabaseClaim> {
        let nonce = self.ask_rotation(name).await?;
        let what = format!("claim {name} to rotate");
        self.claim_when(name, &what, |claim| {
            rotation_of(claim).is_some_and(|found| found.handled_nonce.as_ref() == Some(&nonce))
        })
        .await
    }

    /// Asks for a rotation; returns the nonce.
    pub(crate) async fn ask_rotation(&self, name: &str) -> Result<String> {
        let nonce = names::random(8);
        self.patch(
            name,
            json!({ "metadata": { "annotations": { annotation::ROTATE: nonce } } }),
        )
        .await?;
        Ok(nonce)
    }

    /// Says that a credential leaked, and waits until it is of no use.
    pub(crate) async fn revoke(&self, name: &str, generation: i64) -> Result<Revocation> {
        let value = generation.to_string();
        self.ask_revocation(name, &value).await?;
        let what = format!("credential {generation} of {name} to be revoked");
        let done = |claim: &DatabaseClaim| {
            let done = rotation_of(claim)?.revocation.clone()?;
            (done.generation == generation).then_some(done)
        };
        let claim = self.claim_when(name, &what, |claim| done(claim).is_some());
        done(&claim.await?).context("no revocation")
    }

    pub(crate) async fn ask_revocation(&self, name: &str, value: &str) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { annotation::REVOKE: value } } });
        self.patch(name, patch).await.map(drop)
    }

    /// Asks who is logged in, and what would be done.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Inspection> {
        let nonce = names::random(8);
        let patch = json!({ "metadata": { "annotations": { annotation::INSPECT: nonce } } });
        self.patch(name, patch).await?;
        let answer = |claim: &DatabaseClaim| {
            let inspection = claim.status.as_ref()?.inspection.as_deref()?;
            (inspection.nonce == nonce).then(|| inspection.clone())
        };
        let claim = self.claim_when(name, "an answer", |claim| answer(claim).is_some());
        answer(&claim.await?).context("no answer")
    }

    /// Makes the controller look at a claim, as any edit does.
    pub(crate) async fn nudge(&self, name: &str) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { "test/nudge": names::random(6) } } });
        self.patch(name, patch).await.map(drop)
    }

    pub(crate) async fn secret(&self, name: &str) -> Result<Texts> {
        Ok(texts(&self.secrets().get(name).await?))
    }

    /// Writes a Secret with these texts, in place of what is there.
    pub(crate) async fn put_secret(&self, name: &str, data: &[(&str, &str)]) -> Result<Secret> {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data
        });
        let params = PatchParams::apply("test").force();
        let secrets = self.secrets();
        Ok(secrets.patch(name, &params, &Patch::Apply(secret)).await?)
    }

    /// Merges `patch` into a Secret.
    pub(crate) async fn patch_secret(&self, name: &str, patch: Value) -> Result<Secret> {
        let (secrets, params) = (self.secrets(), PatchParams::default());
        Ok(secrets.patch(name, &params, &Patch::Merge(patch)).await?)
    }

    /// Waits for an Event about the object with that reason; returns its note.
    pub(crate) async fn event(&self, about: &str, reason: &str) -> Result<String> {
        wait_for(format!("Event {reason} of {about}"), async || {
            let all = self.events(about).await?;
            let found = all.iter().find(|(other, _)| other == reason);
            let found = found.map(|(_, note)| note.clone());
            ensure!(found.is_some(), "Events: {all:?}");
            Ok(found)
        })
        .await
    }

    /// Reason and note of all Events about the object.
    pub(crate) async fn events(&self, about: &str) -> Result<Vec<(String, String)>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = events.list(&ListParams::default()).await?;
        let ours = all.into_iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.and_then(|object| object.name.as_deref()) == Some(about)
        });
        Ok(ours
            .map(|event| {
                (
                    event.reason.unwrap_or_default(),
                    event.note.unwrap_or_default(),
                )
            })
            .collect())
    }

    /// Deletes a claim and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.claims().delete(name, &DeleteParams::default()).await?;
        wait_for(format!("claim {name} to be gone"), async || {
            let found = self.claims().get_opt(name).await?;
            Ok(found.is_none().then_some(()))
        })
        .await
    }

    /// Makes a DatabaseServer of this test that admits its namespace, and its admin's Secret.
    /// `more` is merged over the spec. It goes with the namespace. Returns its name.
    pub(crate) async fn server(&self, stem: &str, admin: &Dsn, more: Value) -> Result<String> {
        let admin = (admin.login(), admin.password().expose_secret());
        self.server_of(stem, admin, more).await
    }

    /// The same for an admin of any engine.
    pub(crate) async fn server_of(
        &self,
        stem: &str,
        (login, password): (&str, &str),
        more: Value,
    ) -> Result<String> {
        let name = format!("{stem}-{}", self.namespace);
        let secret = format!("{stem}-admin");
        self.put_secret(&secret, &[("username", login), ("password", password)])
            .await?;
        let mut spec = json!({
            "host": "localhost",
            "sslMode": "disable",
            "adminSecretRef": { "name": secret, "namespace": self.namespace },
            "allowedNamespaces": { "names": [self.namespace] },
        });
        merge(&mut spec, more);
        let object = json!({
            "metadata": { "name": name, "ownerReferences": [self.as_owner().await?] },
            "spec": spec
        });
        let servers: Api<api::server::DatabaseServer> = Api::all(self.client.clone());
        servers
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(name)
    }

    /// The namespace as owner of a cluster-scoped object.
    async fn as_owner(&self) -> Result<OwnerReference> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let uid = namespaces.get(&self.namespace).await?.uid();
        Ok(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            name: self.namespace.clone(),
            uid: uid.context("a namespace without UID")?,
            ..OwnerReference::default()
        })
    }
}

/// A claim on an existing database that the admin can reach by itself.
pub(crate) fn existing(user: &str, dsn: &Dsn) -> Value {
    existing_uri(user, dsn.url().expose_secret())
}

/// The same by URI, of any engine.
pub(crate) fn existing_uri(user: &str, uri: &str) -> Value {
    json!({
        "userName": user,
        "databaseName": "unused",
        "useExistingSource": true,
        "sourceDataFrom": { "type": "database", "database": { "dsn": uri } },
    })
}

/// `name` with an end of its own, for roles and databases of a server that tests share.
pub(crate) fn own(name: &str) -> String {
    format!("{name}_{}", names::random(6))
}

pub(crate) fn condition_of(claim: &DatabaseClaim, type_: Type) -> Option<&Condition> {
    conditions::find(&claim.status.as_ref()?.conditions, type_)
}

pub(crate) fn rotation_of(claim: &DatabaseClaim) -> Option<&api::claim::RotationStatus> {
    claim.status.as_ref()?.rotation.as_ref()
}

pub(crate) fn texts(secret: &Secret) -> Texts {
    let data = secret.data.iter().flatten();
    data.map(|(key, ByteString(bytes))| (key.clone(), String::from_utf8_lossy(bytes).into_owned()))
        .collect()
}

/// The URI that a published Secret holds.
pub(crate) fn uri(secret: &Texts) -> SecretString {
    SecretString::from(secret.get(secret_key::URI_DSN).cloned().unwrap_or_default())
}

/// Logs in with what a published Secret holds; returns the role that the session runs as, on
/// MongoDB the name that both logins of a claim begin with.
pub(crate) async fn log_in(secret: &Texts) -> Result<String> {
    if secret.get(secret_key::TYPE).map(String::as_str) == Some("mongodb") {
        testkit::mongod::log_in(&uri(secret)).await?;
        let login = secret
            .get(secret_key::USERNAME)
            .cloned()
            .unwrap_or_default();
        return Ok(login
            .trim_end_matches(['a', 'b'])
            .trim_end_matches('_')
            .to_owned());
    }
    query_one(&uri(secret), "SELECT current_user::text").await
}

/// The one value that a superuser's query returns.
pub(crate) async fn ask(server: &PostgresAccess, database: &str, sql: &str) -> Result<String> {
    let dsn = server.superuser().database(database).url();
    query_one(&dsn, sql).await
}

/// Merges `from` into `into`, objects key by key.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
