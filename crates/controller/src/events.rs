//! Events on transitions. Their notes are sentences for the claim's owner and never hold a secret;
//! one that can't be written is logged and forgotten. An object that flaps is cut short.

mod budget;

use std::time::Instant;

use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use self::budget::Budget;

pub struct Events {
    recorder: Recorder,
    budget: Budget,
}

/// The longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

impl Events {
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: api::names::REPORTER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            budget: Budget::default(),
        }
    }

    pub async fn normal<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        note: &str,
    ) {
        self.publish(object, EventType::Normal, reason, note).await;
    }

    pub async fn warning<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        note: &str,
    ) {
        self.publish(object, EventType::Warning, reason, note).await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: &str,
    ) {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        let is_warning = matches!(type_, EventType::Warning);
        if !self.budget.take(uid, is_warning, Instant::now()) {
            tracing::debug!(reason, "event left out: the object has caused too many");
            return;
        }
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(err) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(error = %crate::error::chain(&err), reason, "event not written");
        }
    }
}

fn shortened(note: &str) -> String {
    if note.len() <= MAX_NOTE {
        return note.to_owned();
    }
    let mut end = MAX_NOTE - '…'.len_utf8();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", note.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ü".repeat(1000));
        assert!(long.len() <= MAX_NOTE && long.ends_with('…'));
    }
}
