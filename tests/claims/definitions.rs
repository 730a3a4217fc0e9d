//! The definitions that the cluster holds: every rule refuses something by its sentence, objects
//! stored before there were rules can still be worked on, and kubectl shows the right columns.

mod wrong;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use api::claim::DatabaseClaim;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::Request;
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use testkit::wait::wait_for;
use testkit::{env, names};

use self::wrong::{WRONG, WRONG_CHANGES};
use super::owned_database;
use crate::support::{Stage, existing, merge, own};

const CLAIMS: &str = "databaseclaims";
const SERVERS: &str = "databaseservers";
const ROLE_CLAIMS: &str = "dbroleclaims";

/// A spec that is taken.
fn sound(plural: &str) -> Value {
    match plural {
        SERVERS => json!({ "host": "pg1", "adminSecretRef": { "name": "admin" } }),
        ROLE_CLAIMS => json!({ "sourceDatabaseClaim": { "name": "shop", "namespace": "default" } }),
        _ => json!({ "userName": "clerk", "databaseName": "orders" }),
    }
}

/// A change that has nothing to do with any rule.
fn harmless(plural: &str) -> Value {
    match plural {
        SERVERS => json!({ "port": 5433 }),
        ROLE_CLAIMS => json!({ "class": "blue" }),
        _ => json!({ "appId": "till" }),
    }
}

fn with(plural: &str, more: &str) -> Result<Value> {
    let mut spec = sound(plural);
    merge(&mut spec, serde_json::from_str(more)?);
    Ok(spec)
}

/// Our definitions under a group that no other test and no controller knows.
struct Copy {
    client: Client,
    namespace: String,
    group: String,
}

impl Copy {
    fn api(&self, plural: &str) -> Result<Api<DynamicObject>> {
        let crds = api::crds();
        let mut named = crds.iter().map(|crd| &crd.spec.names);
        let kind = named
            .find(|names| names.plural == plural)
            .context("a kind")?;
        let resource = ApiResource {
            group: self.group.clone(),
            version: "v1".to_owned(),
            api_version: format!("{}/v1", self.group),
            kind: kind.kind.clone(),
            plural: plural.to_owned(),
        };
        Ok(match plural {
            SERVERS => Api::all_with(self.client.clone(), &resource),
            _ => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        })
    }

    /// Installs the definitions, changed by `edit`.
    async fn install(&self, edit: impl Fn(&mut Value)) -> Result<()> {
        let resource = ApiResource {
            group: "apiextensions.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "apiextensions.k8s.io/v1".to_owned(),
            kind: "CustomResourceDefinition".to_owned(),
            plural: "customresourcedefinitions".to_owned(),
        };
        let definitions: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let params = PatchParams::apply("test").force();
        for crd in api::crds() {
            let name = format!("{}.{}", crd.spec.names.plural, self.group);
            let mut crd = serde_json::to_value(crd)?;
            merge(
                &mut crd,
                json!({ "metadata": { "name": name }, "spec": { "group": self.group } }),
            );
            edit(&mut crd);
            definitions
                .patch(&name, &params, &Patch::Apply(crd))
                .await?;
        }
        Ok(())
    }

    async fn create(&self, plural: &str, name: &str, spec: Value) -> Result<kube::Result<()>> {
        let api = self.api(plural)?;
        let kind = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec }))?;
        let mut object: DynamicObject = kind;
        let crds = api::crds();
        let mut named = crds.iter().map(|crd| &crd.spec.names);
        let kind = named
            .find(|names| names.plural == plural)
            .context("a kind")?;
        object.types = Some(kube::core::TypeMeta {
            api_version: format!("{}/v1", self.group),
            kind: kind.kind.clone(),
        });
        Ok(api.create(&PostParams::default(), &object).await.map(drop))
    }

    async fn remove(&self) -> Result<()> {
        use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for crd in api::crds() {
            let name = format!("{}.{}", crd.spec.names.plural, self.group);
            definitions.delete(&name, &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// Takes out every rule, as definitions of the original have none.
fn without_rules(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

fn sentences(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let rules = fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array);
            let messages = rules.into_iter().flatten().map(|rule| &rule["message"]);
            found.extend(messages.map(|text| text.as_str().unwrap_or("none").to_owned()));
            fields.values().for_each(|value| sentences(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| sentences(item, found)),
        _ => {}
    }
}

fn refused_with<T>(answer: kube::Result<T>, sentence: &str) -> Result<()> {
    match answer {
        Ok(_) => bail!("taken, and not refused by: {sentence}"),
        Err(kube::Error::Api(status)) => {
            let message = &status.message;
            ensure!(
                message.contains(sentence),
                "{message} does not say: {sentence}"
            );
            Ok(())
        }
        Err(err) => Err(err.into()),
    }
}

#[test]
fn row_3_every_rule_has_an_object_that_it_refuses() -> Result<()> {
    let mut all = BTreeSet::new();
    sentences(&serde_json::to_value(api::crds())?, &mut all);
    assert!(!all.is_empty() && !all.contains("none"), "{all:?}");
    let shown: Vec<_> = WRONG.iter().map(|(_, _, sentence)| *sentence).collect();
    let changes = WRONG_CHANGES.iter().map(|(_, _, _, sentence)| *sentence);
    let shown: Vec<_> = shown.into_iter().chain(changes).collect();
    for sentence in all {
        let is_shown = shown.iter().any(|shown| sentence.contains(shown));
        assert!(is_shown, "no object is refused by: {sentence}");
    }
    Ok(())
}

async fn changes_are_refused(copy: &Copy) -> Result<()> {
    for (number, (plural, before, after, sentence)) in WRONG_CHANGES.iter().enumerate() {
        let name = format!("changed-{number}");
        copy.create(plural, &name, with(plural, before)?).await??;
        let patch: Value = serde_json::from_str(after)?;
        let patch = Patch::Merge(json!({ "spec": patch }));
        let answer = copy
            .api(plural)?
            .patch(&name, &PatchParams::default(), &patch)
            .await;
        refused_with(answer, sentence)?;
    }
    Ok(())
}

/// What a controller and a user do with an object that was there before the rules.
async fn can_be_worked_on(copy: &Copy, plural: &str, name: &str) -> Result<()> {
    let (api, params) = (copy.api(plural)?, PatchParams::default());
    let finalizers = |list: Value| json!({ "metadata": { "finalizers": list } });
    for patch in [
        json!({ "metadata": { "labels": { "touched": "yes" } } }),
        finalizers(json!(["example.com/held"])),
        json!({ "spec": harmless(plural) }),
    ] {
        api.patch(name, &params, &Patch::Merge(patch)).await?;
    }
    let status = json!({ "status": { "conditions": [] } });
    api.patch_status(name, &params, &Patch::Merge(status))
        .await?;
    api.delete(name, &DeleteParams::default()).await?;
    let released = Patch::Merge(finalizers(Value::Null));
    api.patch(name, &params, &released).await?;
    ensure!(api.get_opt(name).await?.is_none(), "still there");
    Ok(())
}

#[tokio::test]
async fn row_3_rules_refuse_by_their_sentence_and_old_objects_stay_workable() -> Result<()> {
    env(async |env| {
        let copy = Copy {
            client: env.client(),
            namespace: env.namespace().to_owned(),
            group: format!("{}.example.com", names::random(8)),
        };
        copy.install(without_rules).await?;
        for (number, (plural, wrong, _)) in WRONG.iter().enumerate() {
            let (name, spec) = (format!("old-{number}"), with(plural, wrong)?);
            wait_for(format!("{plural} {wrong} to be stored"), async || {
                copy.create(plural, &name, spec.clone()).await??;
                Ok(Some(()))
            })
            .await?;
        }
        copy.install(|_| {}).await?;
        for (plural, wrong, sentence) in WRONG {
            let spec = with(plural, wrong)?;
            // A definition is served a moment after it was taken.
            wait_for(format!("{plural} {wrong} to be refused"), async || {
                let name = format!("new-{}", names::random(6));
                refused_with(copy.create(plural, &name, spec.clone()).await?, sentence)?;
                Ok(Some(()))
            })
            .await?;
        }
        changes_are_refused(&copy).await?;
        for (number, (plural, wrong, _)) in WRONG.iter().enumerate() {
            can_be_worked_on(&copy, plural, &format!("old-{number}"))
                .await
                .with_context(|| format!("{plural} {wrong}"))?;
        }
        copy.remove().await
    })
    .await
}

#[tokio::test]
async fn row_2_kubectl_shows_the_originals_columns_and_then_ours() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let mut spec = existing(&own("clerk"), &admin);
        merge(&mut spec, json!({ "type": "postgres" }));
        stage.claim("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        let path = DatabaseClaim::url_path(&(), Some(env.namespace()));
        let mut request = Request::new(path).list(&ListParams::default())?;
        let as_table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        request.headers_mut().insert("accept", as_table.parse()?);
        let table: Value = env.client().request(request).await?;
        let columns = table["columnDefinitions"].as_array().context("columns")?;
        let cells = table["rows"][0]["cells"].as_array().context("a row")?;
        let shown: Vec<_> = columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| (column["name"].as_str().unwrap_or_default(), cell))
            .collect();
        let order = [
            "Name",
            "Type",
            "Version",
            "Ready",
            "Synced",
            "Status",
            "Age",
            "MigrationState",
        ];
        let names: Vec<_> = shown
            .iter()
            .map(|(name, _)| *name)
            .take(order.len())
            .collect();
        assert_eq!(names, order);
        let cell = |name: &str| {
            let found = shown.iter().find(|(column, _)| *column == name);
            found.map(|(_, cell)| (*cell).clone()).unwrap_or_default()
        };
        assert_eq!(cell("Name"), claim.name_any());
        assert_eq!(cell("Type"), "postgres");
        assert_eq!(cell("Ready"), "True");
        assert_eq!(cell("Synced"), "True");
        let version = cell("Version").as_str().unwrap_or_default().to_owned();
        assert!(
            version.starts_with(&env.postgres().major().to_string()),
            "{version}"
        );
        let status = cell("Status").as_str().unwrap_or_default().to_owned();
        assert_eq!(status, api::conditions::message::READY);
        assert!(
            cell("Login")
                .as_str()
                .is_some_and(|login| login.ends_with("_a"))
        );
        Ok(())
    })
    .await
}
