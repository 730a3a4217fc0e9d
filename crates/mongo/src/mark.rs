//! A claim's mark on a login, as the user's `customData`, and on a database, as a document: fields
//! that people and other tools can query, and the engine's own text both ways.

use engine::{mark::Mark, names::Login};
use mongodb::bson::{Bson, Document, doc};

/// Who manages the login; the sweep of `usersInfo{filter}` looks for it.
const MANAGER: &str = "db-controller";

/// What is said of a login beside its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Somebody may know its password.
    Usable,
    /// Its password was drawn and forgotten: new, or retired.
    Closed,
}

/// The `customData` of a login.
pub(crate) fn custom_data(login: &Login, mark: &Mark, state: State) -> Document {
    let mut data = document(mark);
    let slot = login.as_str().rsplit_once('_').map(|(_, slot)| slot);
    data.extend(slot.map(|slot| ("slot".to_owned(), Bson::from(slot))));
    if state == State::Closed {
        data.insert("closed", true);
    }
    data
}

/// Set in the document of a login that may not be there yet.
pub(crate) const UNFINISHED: &str = "unfinished";

/// The id of the document that is a login's mark where the server keeps no `customData`.
pub(crate) fn place(login: &str, database: &str) -> Document {
    doc! { "login": login, "database": database }
}

/// A mark as fields.
pub(crate) fn document(mark: &Mark) -> Document {
    let Mark {
        claim,
        uid,
        creating,
        adopted,
        found,
        schema,
        // MongoDB has no such limit.
        limited: _,
        attempt,
    } = mark;
    let mut fields = doc! { "managedBy": MANAGER, "claim": claim, "uid": uid };
    for (name, is_set) in [
        ("creating", creating),
        ("adopted", adopted),
        ("found", found),
        ("schema", schema),
    ] {
        if *is_set {
            fields.insert(name, true);
        }
    }
    fields.extend(
        attempt
            .as_ref()
            .map(|base| ("rev".to_owned(), Bson::from(base))),
    );
    fields
}

/// Reads a mark; `None` where the fields are not ours.
pub(crate) fn parse(fields: &Document) -> Option<Mark> {
    if fields.get_str("managedBy").ok() != Some(MANAGER) {
        return None;
    }
    let text = |name: &str| fields.get_str(name).ok().map(str::to_owned);
    let is_set = |name: &str| fields.get_bool(name).unwrap_or_default();
    Some(Mark {
        claim: text("claim")?,
        uid: text("uid")?,
        creating: is_set("creating"),
        adopted: is_set("adopted"),
        found: is_set("found"),
        schema: is_set("schema"),
        limited: false,
        attempt: text("rev"),
    })
}

pub(crate) fn state(custom_data: &Document) -> State {
    if custom_data.get_bool("closed").unwrap_or_default() {
        State::Closed
    } else {
        State::Usable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_survives_its_fields(
            claim in "[a-z]{1,9}/[a-z]{1,9}",
            attempt in prop::option::of("[0-9]{1,9}"),
            creating in any::<bool>(),
            is_closed in any::<bool>(),
        ) {
            let mark = Mark { creating, attempt, ..Mark::new(claim, "0f3a") };
            let login = Login::try_from("clerk_b").unwrap();
            let state = if is_closed { State::Closed } else { State::Usable };
            let data = custom_data(&login, &mark, state);
            prop_assert_eq!(data.get_str("slot").ok(), Some("b"));
            prop_assert_eq!(self::state(&data), state);
            let read = parse(&data);
            prop_assert_eq!(read.as_ref(), Some(&mark));
            // What the controller compares is the text.
            prop_assert_eq!(Mark::parse(&mark.to_string()), read);
        }
    }

    #[test]
    fn other_peoples_data_is_no_mark() {
        for data in [
            doc! {},
            doc! { "team": "shop" },
            doc! { "managedBy": "somebody", "claim": "a/b", "uid": "c" },
            doc! { "managedBy": MANAGER, "uid": "c" },
            doc! { "managedBy": MANAGER, "claim": 1, "uid": "c" },
        ] {
            assert_eq!(parse(&data), None, "{data}");
        }
    }
}
