//! What stands inside the claim's database: rights, extensions, system functions.

use crate::{
    catalog::{Contents, Extension},
    step::DatabaseStep,
    wishes::{Mode, Wishes},
};

/// What to do inside the database, and what can't be done there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentsPlan {
    pub steps: Vec<DatabaseStep>,
    /// Extensions that the claim listed and that the server does not have, the admin may not
    /// create, or the server's policy does not permit.
    pub missing_extensions: Vec<String>,
    /// Objects whose owner the admin can't act for.
    pub unreachable_objects: Vec<String>,
}

pub fn contents(wishes: &Wishes, contents: &Contents) -> ContentsPlan {
    let mut plan = ContentsPlan::default();
    // A database that the claim made belongs to the owner role, and so does all within it; only
    // before PostgreSQL 15 schema public belongs to somebody else, which is a missing grant too.
    if !contents.missing_grants.is_empty() {
        plan.steps.push(DatabaseStep::Grant {
            role: wishes.role.clone(),
            grants: contents.missing_grants.clone(),
        });
    }
    if wishes.mode == Mode::Adopt {
        plan.unreachable_objects
            .clone_from(&contents.unreachable_objects);
    }
    for name in &wishes.extensions {
        match contents.extensions.get(name) {
            Some(extension) if extension.is_installed => {}
            Some(extension) if extension.can_install && is_permitted(wishes, name, extension) => {
                plan.steps.push(DatabaseStep::CreateExtension {
                    extension: name.clone(),
                });
            }
            _ if wishes.are_extensions_explicit => plan.missing_extensions.push(name.clone()),
            _ => {}
        }
    }
    for function in &wishes.system_functions {
        let key = format!("{}.{}", function.schema, function.name);
        if contents.system_functions.get(&key) != Some(&function.value) {
            plan.steps.push(DatabaseStep::CreateSystemFunction {
                schema: function.schema.clone(),
                name: function.name.clone(),
                value: function.value.clone(),
            });
        }
    }
    plan
}

fn is_permitted(wishes: &Wishes, name: &String, extension: &Extension) -> bool {
    let permitted = wishes.permitted_extensions.as_ref();
    extension.is_trusted || permitted.is_none_or(|permitted| permitted.contains(name))
}
