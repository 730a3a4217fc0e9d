//! What a role claim may do in the database of another claim: schemas, levels, and the roles of
//! the server that carry them. The roles belong to the claim that has the database; its role
//! claims share them.

use std::collections::{BTreeMap, BTreeSet};

use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

use crate::{
    catalog::{Catalog, Role},
    decide::Refusal,
    mark::Mark,
    names::{MAX_IDENTIFIER_BYTES, RoleName, SchemaName, SchemaRole},
    schedule::stable_hash,
    wishes::ClaimId,
};

/// What may be done in one schema. `read` and `readWrite` are what MongoDB calls the first two.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, EnumIter, IntoStaticStr,
)]
pub enum Level {
    #[strum(to_string = "readonly", serialize = "read")]
    Readonly,
    #[strum(to_string = "regular", serialize = "readWrite")]
    Regular,
    #[strum(to_string = "admin")]
    Admin,
}

/// A kind of object, as rights are listed for it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, EnumIter, IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Object {
    Database,
    Schema,
    /// Tables, views, materialized views, foreign tables.
    Table,
    Sequence,
    /// Functions, procedures, aggregates.
    Routine,
}

impl Level {
    /// Exactly the rights on objects of that kind; docs/roles.md lists them.
    pub fn rights(self, object: Object) -> &'static [&'static str] {
        match (object, self) {
            (Object::Database, _) => &["CONNECT"],
            (Object::Schema, Self::Readonly) => &["USAGE"],
            (Object::Schema, Self::Regular | Self::Admin) => &["USAGE", "CREATE"],
            (Object::Table | Object::Sequence, Self::Readonly) => &["SELECT"],
            (Object::Table, Self::Regular) => &["SELECT", "INSERT", "UPDATE", "DELETE"],
            // The last exists from PostgreSQL 17 on.
            (Object::Table, Self::Admin) => &[
                "SELECT",
                "INSERT",
                "UPDATE",
                "DELETE",
                "TRUNCATE",
                "REFERENCES",
                "TRIGGER",
                "MAINTAIN",
            ],
            (Object::Sequence, Self::Regular | Self::Admin) => &["USAGE", "SELECT", "UPDATE"],
            (Object::Routine, Self::Readonly | Self::Regular) => &[],
            (Object::Routine, Self::Admin) => &["EXECUTE"],
        }
    }

    /// Whether it lets its holder make objects in the schema.
    pub fn creates(self) -> bool {
        self != Self::Readonly
    }

    /// The roles of MongoDB that it stands for, on a database instead of a schema.
    pub fn mongo_roles(self) -> &'static [&'static str] {
        match self {
            Self::Readonly => &["read"],
            Self::Regular => &["readWrite"],
            // Not `dbOwner`: it could give its rights away for good.
            Self::Admin => &["readWrite", "dbAdmin"],
        }
    }
}

/// A role claim's part of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The claim that has the database.
    pub source: ClaimId,
    /// The owner role of that claim.
    pub owner: RoleName,
    /// Whether that claim made its database, and so may close it to PUBLIC.
    pub is_made: bool,
    pub schemas: BTreeMap<SchemaName, Level>,
    /// The roles of schemas that status names.
    pub recorded: Vec<SchemaRole>,
}

/// What is to stand inside the shared database, as far as the schemas of one role claim go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The owner role of the claim that has the database. It owns the schemas, and may use what
    /// role claims make in them.
    pub owner: RoleName,
    /// Whether nothing in the schemas is to be open to PUBLIC.
    pub is_closed: bool,
    /// Everything that is granted in these schemas, to other role claims too.
    pub grants: Vec<SchemaGrant>,
    /// Who, beside the owner, may make objects, by schema.
    pub creators: BTreeMap<SchemaName, BTreeSet<String>>,
    /// Roles of schemas that nobody has any more, and that lose all their rights.
    pub cleared: Vec<SchemaRole>,
}

/// A schema, what may be done in it, and the role that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaGrant {
    pub schema: SchemaName,
    pub level: Level,
    pub role: SchemaRole,
}

impl Share {
    /// The schemas by the names that they have in the database: exactly as the map has them, or in
    /// lower case as the original made them. What exists in neither spelling will be made exactly.
    pub fn resolved(mut self, existing: &BTreeSet<String>) -> Self {
        let wished = std::mem::take(&mut self.schemas);
        let is_wished = |name: &SchemaName| wished.contains_key(name);
        for (schema, level) in &wished {
            let lower = SchemaName::try_from(schema.as_str().to_lowercase()).ok();
            let lower = lower.filter(|lower| {
                !existing.contains(schema.as_str())
                    && existing.contains(lower.as_str())
                    && !is_wished(lower)
            });
            self.schemas
                .insert(lower.unwrap_or_else(|| schema.clone()), *level);
        }
        self
    }

    /// The names that the map's schemas may have in the database.
    pub fn spellings(&self) -> impl Iterator<Item = String> {
        let names = self.schemas.keys().map(SchemaName::as_str);
        names.flat_map(|name| [name.to_owned(), name.to_lowercase()])
    }

    /// All roles that the catalog must tell of.
    pub fn candidates(&self) -> Vec<String> {
        let roles = self.roles().into_iter().map(|role| role.to_string());
        roles.chain([self.owner.to_string()]).collect()
    }

    /// All roles that may carry what is done in the map's schemas, and those recorded.
    fn roles(&self) -> BTreeSet<SchemaRole> {
        let schemas = self.schemas.keys();
        let named = schemas.flat_map(|schema| {
            let levels = Level::iter();
            levels.flat_map(|level| self.names(schema, level).into_iter().flatten())
        });
        named.chain(self.recorded.iter().cloned()).collect()
    }

    /// `<schema>_<level>`, as the original calls it, and a name that no other claim can have: roles
    /// are known to the whole server, and many databases have a schema `public`.
    fn names(&self, schema: &SchemaName, level: Level) -> [Option<SchemaRole>; 2] {
        let suffix: &str = level.into();
        let plain = SchemaRole::try_from(format!("{schema}_{suffix}")).ok();
        let whose = format!(
            "{}/{} {schema} {suffix}",
            self.source.namespace, self.source.name
        );
        let suffix = format!("_{suffix}_{:08x}", stable_hash(&whose) >> 32);
        let mut stem = schema.to_string();
        while stem.len() + suffix.len() > MAX_IDENTIFIER_BYTES {
            stem.pop();
        }
        [plain, SchemaRole::try_from(stem + &suffix).ok()]
    }

    /// The mark of the roles.
    pub fn mark(&self) -> Mark {
        self.source.mark().schema()
    }

    /// Those of the map's schemas, of any level, that this database has.
    pub fn own_roles(&self, catalog: &Catalog) -> Vec<SchemaRole> {
        let found = |name: &SchemaRole| catalog.roles.get(name.as_str());
        let is_own = |name: &SchemaRole| found(name).is_some_and(|role| self.is_own(role));
        self.roles().into_iter().filter(is_own).collect()
    }

    /// Whether a role carries what may be done in a schema of this very database.
    fn is_own(&self, role: &Role) -> bool {
        let mine = self.mark();
        role.mark()
            .is_some_and(|mark| mark.schema && mark.same_claim(&mine))
    }

    /// The role for one level in one schema. A role without a mark is taken over where it has one
    /// of `heirs` as a member: logins that the original made.
    pub fn role(
        &self,
        schema: &SchemaName,
        level: Level,
        catalog: &Catalog,
        heirs: &[String],
    ) -> Result<SchemaRole, Refusal> {
        let [plain, own] = self.names(schema, level);
        let found = |name: &SchemaRole| catalog.roles.get(name.as_str());
        let is_own = |name: &SchemaRole| found(name).is_some_and(|role| self.is_own(role));
        let is_heir = |role: &Role| {
            let is_unmarked = role.mark().is_none() && !role.can_login && !role.is_superuser;
            is_unmarked && role.members.iter().any(|member| heirs.contains(member))
        };
        let may_have =
            |name: &SchemaRole| found(name).is_none_or(|role| self.is_own(role) || is_heir(role));
        let own_is_made = own.clone().filter(is_own);
        let chosen = own_is_made.or(plain.filter(may_have));
        match (chosen, own) {
            (Some(role), _) => Ok(role),
            (None, Some(own)) if found(&own).is_none() => Ok(own),
            (None, own) => Err(Refusal::NoSchemaRole {
                schema: schema.to_string(),
                role: own.map(|own| own.to_string()).unwrap_or_default(),
            }),
        }
    }

    /// What the map asks for, with the roles that carry it.
    pub fn grants(&self, catalog: &Catalog, heirs: &[String]) -> Result<Vec<SchemaGrant>, Refusal> {
        let wished = self.schemas.iter();
        let grants = wished.map(|(schema, level)| {
            Ok(SchemaGrant {
                schema: schema.clone(),
                level: *level,
                role: self.role(schema, *level, catalog, heirs)?,
            })
        });
        grants.collect()
    }

    /// What is to stand in the database once `member` is in the roles of `grants`.
    pub fn wanted(&self, catalog: &Catalog, member: &RoleName, grants: &[SchemaGrant]) -> Wanted {
        let mut creators = BTreeMap::<_, BTreeSet<_>>::new();
        let mut all = self.neighbours(catalog, grants);
        for SchemaGrant {
            schema,
            level,
            role,
        } in grants.iter().chain(&all)
        {
            let is_ours = grants.iter().any(|grant| grant.role == *role);
            let members = catalog.roles.get(role.as_str());
            let members = members.into_iter().flat_map(|role| role.members.clone());
            // What this role claim leaves, it left before this is asked.
            let others = members.filter(|other| other != member.as_str());
            let members = others.chain(is_ours.then(|| member.to_string()));
            if level.creates() {
                creators.entry(schema.clone()).or_default().extend(members);
            }
        }
        all.extend(grants.iter().cloned());
        let unused = self.unused(catalog, member, grants);
        all.retain(|grant| !unused.contains(&grant.role));
        Wanted {
            owner: self.owner.clone(),
            is_closed: self.is_made,
            cleared: unused,
            grants: all,
            creators,
        }
    }

    /// What is to stand in the database once `member` has left: nothing is compared but the rights
    /// of roles that nobody has any more.
    pub fn abandoned(&self, catalog: &Catalog, member: &RoleName) -> Wanted {
        Wanted {
            owner: self.owner.clone(),
            is_closed: false,
            grants: Vec::new(),
            creators: BTreeMap::new(),
            cleared: self.unused(catalog, member, &[]),
        }
    }

    /// The roles of the map's schemas that exist beside those `grants`: another role claim's.
    fn neighbours(&self, catalog: &Catalog, grants: &[SchemaGrant]) -> Vec<SchemaGrant> {
        let mut all = Vec::new();
        for schema in self.schemas.keys() {
            for level in Level::iter() {
                let names = self.names(schema, level).into_iter().flatten();
                let roles = names.filter(|name| {
                    let found = catalog.roles.get(name.as_str());
                    found.is_some_and(|role| self.is_own(role))
                });
                all.extend(roles.map(|role| SchemaGrant {
                    schema: schema.clone(),
                    level,
                    role,
                }));
            }
        }
        all.retain(|grant| !grants.contains(grant));
        all
    }

    /// Roles of schemas that nobody is a member of once `member` has left: they are this
    /// database's, and are not among `grants`.
    fn unused(
        &self,
        catalog: &Catalog,
        member: &RoleName,
        grants: &[SchemaGrant],
    ) -> Vec<SchemaRole> {
        let is_granted = |name: &SchemaRole| grants.iter().any(|grant| grant.role == *name);
        let only_ours = |name: &SchemaRole| {
            let role = catalog.roles.get(name.as_str());
            let mut members = role.into_iter().flat_map(|role| &role.members);
            members.all(|other| other == member.as_str())
        };
        let own = self.own_roles(catalog).into_iter();
        own.filter(|name| !is_granted(name) && only_ours(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decide::tests::setup::catalog, wishes::ClaimKind};

    fn share(name: &str, schemas: &[&str]) -> Share {
        let schemas = schemas.iter();
        Share {
            source: ClaimId {
                kind: ClaimKind::Claim,
                namespace: "shop".into(),
                name: name.into(),
                uid: format!("uid of {name}"),
            },
            owner: RoleName::try_from("clerk").unwrap(),
            is_made: true,
            schemas: schemas
                .map(|name| (schema(name), Level::Readonly))
                .collect(),
            recorded: Vec::new(),
        }
    }

    fn schema(name: &str) -> SchemaName {
        SchemaName::try_from(name).unwrap()
    }

    fn role(mark: Option<Mark>, members: &[&str]) -> Role {
        Role {
            comment: mark.map(|mark| mark.to_string()),
            members: members.iter().map(|name| (*name).to_owned()).collect(),
            ..Role::default()
        }
    }

    /// The cells of the rows that begin with this.
    fn cells(row: &str) -> Vec<BTreeSet<&'static str>> {
        let line = include_str!("../../../docs/roles.md").lines();
        let mut line = line.filter(|line| line.starts_with(&format!("| {row} |")));
        let cells = line.next().unwrap().trim_matches('|').split('|').skip(1);
        let words =
            |cell: &'static str| cell.split([',', '`', ' ']).filter(|word| !word.is_empty());
        cells.map(|cell| words(cell).collect()).collect()
    }

    #[test]
    fn the_documented_rights_are_the_rights() {
        for object in Object::iter() {
            let documented = cells(object.into());
            for (level, words) in Level::iter().zip(documented) {
                let rights: BTreeSet<_> = level.rights(object).iter().copied().collect();
                assert_eq!(rights, words, "{level:?} on {object:?}");
            }
        }
        for (row, level) in [
            ("`readonly`, `read`", Level::Readonly),
            ("`regular`, `readWrite`", Level::Regular),
            ("`admin`", Level::Admin),
        ] {
            let roles: BTreeSet<_> = level.mongo_roles().iter().copied().collect();
            assert_eq!(cells(row), [roles]);
        }
    }

    #[test]
    fn the_rights_grow_from_level_to_level() {
        for object in Object::iter() {
            for (less, more) in [
                (Level::Readonly, Level::Regular),
                (Level::Regular, Level::Admin),
            ] {
                let more = more.rights(object);
                assert!(less.rights(object).iter().all(|right| more.contains(right)));
            }
        }
    }

    #[test]
    fn a_schema_is_found_in_the_spelling_of_the_original() {
        let resolved = |wished: &[&str], existing: &[&str]| {
            let existing = existing.iter().map(|name| (*name).to_owned()).collect();
            let found = share("orders", wished).resolved(&existing).schemas;
            found
                .into_keys()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(resolved(&["Sales"], &[]), ["Sales"]);
        assert_eq!(resolved(&["Sales"], &["sales"]), ["sales"]);
        assert_eq!(resolved(&["Sales"], &["sales", "Sales"]), ["Sales"]);
        assert_eq!(
            resolved(&["Sales", "sales"], &["sales"]),
            ["Sales", "sales"]
        );
    }

    #[test]
    fn two_databases_with_one_schema_have_two_roles() {
        let (orders, stock) = (share("orders", &["public"]), share("stock", &["public"]));
        let public = schema("public");
        let chosen = |share: &Share, catalog: &Catalog| {
            let role = share.role(&public, Level::Regular, catalog, &[]);
            role.unwrap().to_string()
        };
        let empty = catalog(&[]);
        assert_eq!(chosen(&orders, &empty), "public_regular");
        let taken = catalog(&[("public_regular", role(Some(orders.mark()), &[]))]);
        assert_eq!(chosen(&orders, &taken), "public_regular");
        let other = chosen(&stock, &taken);
        assert!(other.starts_with("public_regular_"), "{other}");
        // Once it is made it stays, also when the plain name is free again.
        let made = catalog(&[(other.as_str(), role(Some(stock.mark()), &[]))]);
        assert_eq!(chosen(&stock, &made), other);
    }

    #[test]
    fn only_a_role_with_the_originals_login_is_taken_over() {
        let share = share("orders", &["sales"]);
        let sales = schema("sales");
        let unmarked = catalog(&[("sales_readonly", role(None, &["reports_user_a"]))]);
        let chosen = |heirs: &[&str]| {
            let heirs: Vec<_> = heirs.iter().map(|name| (*name).to_owned()).collect();
            let role = share.role(&sales, Level::Readonly, &unmarked, &heirs);
            role.unwrap().to_string()
        };
        assert_eq!(chosen(&["reports_user_a"]), "sales_readonly");
        assert_ne!(chosen(&[]), "sales_readonly");
        // A claim's own role is no role of a schema, whatever its name.
        let owner = catalog(&[("sales_readonly", role(Some(share.source.mark()), &[]))]);
        let role = share.role(&sales, Level::Readonly, &owner, &[]).unwrap();
        assert_ne!(role.as_str(), "sales_readonly");
    }

    #[test]
    fn a_role_goes_with_its_last_member() {
        let mut share = share("orders", &["sales"]);
        share.recorded = ["sales_admin", "audit_admin", "other_admin"]
            .map(|name| SchemaRole::try_from(name).unwrap())
            .to_vec();
        let member = RoleName::try_from("reports_user").unwrap();
        let roles = catalog(&[
            ("sales_admin", role(Some(share.mark()), &["reports_user"])),
            (
                "audit_admin",
                role(Some(share.mark()), &["reports_user", "bi_user"]),
            ),
            ("other_admin", role(None, &[])),
        ]);
        let unused = share.unused(&roles, &member, &[]);
        assert_eq!(unused, [SchemaRole::try_from("sales_admin").unwrap()]);
    }

    proptest! {
        #[test]
        fn every_schema_has_a_role_with_a_name_that_fits(name in "\\PC{1,63}") {
            let Ok(schema) = SchemaName::try_from(name) else { return Ok(()) };
            let share = share("orders", &[]);
            for level in Level::iter() {
                let role = share.role(&schema, level, &catalog(&[]), &[]).unwrap();
                prop_assert!(role.as_str().len() <= MAX_IDENTIFIER_BYTES);
            }
        }
    }
}
