//! What the published Secret looks like beside the credential, and what users may add to it.

use std::collections::BTreeMap;

use api::{claim::SecretTemplate, role_claim::DbRoleClaim};

use super::Error;
use crate::{
    address::Engine,
    format::Format,
    names::DatabaseName,
    secret::Stored,
    template::{self, Template},
};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretShape {
    pub name: String,
    pub dsn_name: String,
    pub engine: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The claim's own keys.
    pub templates: BTreeMap<String, Template>,
    /// Forms of the credential; those of them that are no file are published always.
    pub formats: Vec<Format>,
    /// What a new Secret is; the type of one that is there can't be changed.
    pub type_: Option<String>,
    /// The claim's databases after the first.
    pub other_databases: Vec<DatabaseName>,
    /// Whether each database logs the claim in itself.
    pub is_per_database: bool,
    /// Whether the Secret goes with the claim (`Delete`), and so carries an owner reference.
    pub is_owned: bool,
}

impl SecretShape {
    /// That of a copy, whose keys are those of what it copies.
    pub fn of_copy(role_claim: &DbRoleClaim) -> Self {
        let own = role_claim.spec.secret_template.clone();
        let own = own.unwrap_or_default();
        Self {
            name: role_claim.secret_name().to_owned(),
            labels: own.labels,
            annotations: own.annotations,
            type_: wished_type(own.type_),
            is_owned: true,
            ..Self::default()
        }
    }

    /// The same with what users ask for, all of it.
    pub(super) fn with(self, own: SecretTemplate) -> Result<Self, Error> {
        let SecretTemplate {
            labels,
            annotations,
            data,
            formats,
            type_,
        } = own;
        let formats = formats.into_iter().map(format);
        let formats = formats.collect::<Result<Vec<_>, _>>()?;
        let dsn_name = self.dsn_name.as_str();
        let is_taken = |key: &&str| *key == dsn_name || key.strip_prefix("uri_") == Some(dsn_name);
        let mut keys = formats.iter().filter_map(|format| format.key());
        if let Some(key) = keys.find(is_taken) {
            return Err(Error::DsnName { key });
        }
        let templates = template::all(&data, dsn_name, &formats);
        Ok(Self {
            labels,
            annotations,
            templates: templates.map_err(|(key, error)| Error::Template { key, error })?,
            formats,
            type_: wished_type(type_),
            ..self
        })
    }

    /// What of it has no effect on a Secret as it stands, in sentences.
    pub fn ignored(&self, engine: Engine, secret: &Stored) -> Vec<String> {
        let foreign = self.formats.iter().filter(|format| !format.is_of(engine));
        let foreign: Vec<&str> = foreign.map(Into::into).collect();
        let mut sentences = Vec::new();
        if !foreign.is_empty() {
            let names = foreign.join(", ");
            sentences.push(format!(
                "secretTemplate.formats: {names}: only on PostgreSQL"
            ));
        }
        sentences.extend(self.ignored_type(secret));
        sentences
    }

    /// What is said of a type that the Secret does not have.
    pub fn ignored_type(&self, secret: &Stored) -> Option<String> {
        let wished = self.type_.as_ref()?;
        (*wished != secret.type_).then(|| {
            format!(
                "secretTemplate.type: Secret {} has type {}, which Kubernetes lets nobody change; {wished} counts from the next secretName on",
                self.name, secret.type_
            )
        })
    }
}

fn wished_type(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn format(name: String) -> Result<Format, Error> {
    name.parse().map_err(|_| Error::Format { name })
}

#[cfg(test)]
mod tests {
    use api::claim::FORMATS;

    use super::*;
    use crate::ErrorClass;

    fn shape(dsn_name: &str, own: SecretTemplate) -> Result<SecretShape, Error> {
        let shape = SecretShape {
            name: "orders".to_owned(),
            dsn_name: dsn_name.to_owned(),
            ..SecretShape::default()
        };
        shape.with(own)
    }

    fn formats(names: &[&str]) -> SecretTemplate {
        SecretTemplate {
            formats: names.iter().map(|name| (*name).to_owned()).collect(),
            ..SecretTemplate::default()
        }
    }

    #[test]
    fn every_documented_format_is_known_and_no_other() {
        let all = shape("dsn.txt", formats(&FORMATS)).unwrap().formats;
        let names: Vec<&str> = all.iter().map(Into::into).collect();
        assert_eq!(names, FORMATS);
        let error = shape("", formats(&["rails"])).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidSpec);
        assert!(error.to_string().contains("rails"), "{error}");
    }

    #[test]
    fn a_file_has_its_key_to_itself() {
        for dsn_name in ["node.json", ".env"] {
            let error = shape(dsn_name, formats(&["node", "dotenv"])).unwrap_err();
            assert!(error.to_string().contains(dsn_name), "{error}");
        }
        assert!(shape("node.json", formats(&["dotenv"])).is_ok());
        let mut both = formats(&["node"]);
        let text = ("node.json".to_owned(), "{username}".to_owned());
        both.data = [text.clone()].into();
        assert!(matches!(shape("", both), Err(Error::Template { .. })));
        let mut one = formats(&[]);
        one.data = [text].into();
        assert!(shape("", one).is_ok());
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let mut own = formats(&["url", "jdbc", "pgpass", "node"]);
        own.type_ = Some("servicebinding.io/postgresql".to_owned());
        let shape = shape("", own).unwrap();
        let mut secret = Stored {
            type_: "Opaque".to_owned(),
            ..Stored::default()
        };
        let of_postgres = shape.ignored(Engine::Postgres, &secret);
        assert_eq!(of_postgres.len(), 1);
        assert!(
            of_postgres[0].contains("type Opaque")
                && of_postgres[0].contains("servicebinding.io/postgresql counts"),
            "{of_postgres:?}"
        );
        secret.type_ = "servicebinding.io/postgresql".to_owned();
        assert!(shape.ignored(Engine::Postgres, &secret).is_empty());
        let of_mongo = shape.ignored(Engine::Mongo, &secret);
        assert_eq!(
            of_mongo,
            ["secretTemplate.formats: jdbc, pgpass: only on PostgreSQL"]
        );
        let silent = SecretShape::default();
        assert!(silent.ignored(Engine::Postgres, &secret).is_empty());
    }
}
