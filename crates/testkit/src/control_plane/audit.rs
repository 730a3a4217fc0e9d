//! kube-apiserver's own record of the requests it served: what the benchmarks count.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

pub(super) const LOG: &str = "audit.log";

/// Everything at metadata level, once a request is answered; a watch counts when it starts.
pub(super) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `system:serviceaccount:<namespace>:<name>` for controllers.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// `resource` or `resource/subresource`; empty for paths such as `/readyz`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub status: u16,
}

impl Request {
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    pub fn is_failed(&self) -> bool {
        self.status >= 400
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

/// Reads the whole log. The last line may be half written, so it is left out then.
pub(super) fn read(log: &Path) -> Result<Vec<Request>> {
    let text = std::fs::read_to_string(log)
        .with_context(|| format!("cannot read {}; was auditing on?", log.display()))?;
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str::<Event>(line).context("audit log"))
        .filter_map(|event| event.map(request).transpose())
        .collect()
}

/// A watch has two entries, at its start and at its end; the start counts.
fn request(event: Event) -> Option<Request> {
    let Event {
        stage,
        verb,
        user: User { username: user },
        object_ref,
        response_status,
    } = event;
    let counted = if verb == "watch" {
        "ResponseStarted"
    } else {
        "ResponseComplete"
    };
    if stage != counted {
        return None;
    }
    let ObjectRef {
        resource,
        subresource,
        namespace,
        name,
    } = object_ref.unwrap_or_default();
    let resource = match subresource.as_str() {
        "" => resource,
        subresource => format!("{resource}/{subresource}"),
    };
    let status = response_status.map_or(0, |status| status.code);
    Some(Request {
        user,
        verb,
        resource,
        namespace,
        name,
        status,
    })
}
