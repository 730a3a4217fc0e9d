//! The rotation of a server's admin: the machine that keeps claims' credentials keeps this one too.
//!
//! Guarantee: at every instant the Secret that the server's status names logs in as the admin. The
//! operator's own Secret is never written.

use std::collections::BTreeSet;

use api::{
    conditions::{self, Type},
    server::{DatabaseServer, RotatedAdmin},
};
use engine::{
    ErrorClass,
    catalog::{Catalog, Session as LoginSession},
    decide,
    dsn::Dsn,
    names::RoleName,
    place, schedule,
    wishes::Wishes,
};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    initial::{self, Initial},
    keeper::{Keeper, recorded},
};
use crate::{
    context::Context,
    engines::{Locked, Session},
    error::{Error, chain},
    publish::Found,
    rotation::{Happening, Pass, Published, Retired, Seen, Target, record::Times},
};

/// What a pass over an admin's credential left behind.
pub(super) struct Kept {
    pub secret: RotatedAdmin,
    pub published: Published,
    pub retired: Retired,
    pub due: Option<Timestamp>,
    pub happenings: Vec<Happening>,
    /// Who else wrote the Secret before this pass.
    pub writers: BTreeSet<String>,
    /// Sessions of the admin's logins before this pass.
    pub sessions: Vec<LoginSession>,
    pub initial: Initial,
}

/// Whether the credential has something to be done now, from what is cached alone.
pub(super) fn is_due(server: &DatabaseServer, now: Timestamp) -> bool {
    if server.spec.admin_rotation.is_none() {
        return false;
    }
    let Some(rotation) = server.status.as_ref().and_then(|it| it.rotation.as_ref()) else {
        return !is_refused(server);
    };
    let asked = engine::asked::Asked::of(server.metadata.annotations.as_ref());
    rotation.next_rotation_at.is_some_and(|next| next <= now)
        || rotation.deferred_since.is_some()
        || (asked.rotate.is_some() && asked.rotate != rotation.handled_nonce)
        || initial::is_about_to_be_shut(server, now)
}

/// Whether the server's admin, as it is, was refused to be rotated: that is tried again seldom.
fn is_refused(server: &DatabaseServer) -> bool {
    let status = server.status.as_ref();
    let said = status.and_then(|it| conditions::find(&it.conditions, Type::AdminRotation));
    let lasting = [
        ErrorClass::InvalidSpec,
        ErrorClass::Forbidden,
        ErrorClass::Blocked,
    ];
    said.is_some_and(|said| {
        said.status == "False"
            && said.observed_generation == server.metadata.generation
            && lasting.iter().any(|class| class.reason() == said.reason)
    })
}

/// Whether this controller keeps the credential, and not one with the admin's Secret elsewhere.
pub(super) fn is_kept_here(server: &DatabaseServer, place: &place::Server) -> bool {
    let status = server.status.as_ref();
    let recorded = status.and_then(|status| status.admin_secret.as_ref());
    recorded.is_none_or(|recorded| recorded.namespace == place.admin.secret.namespace)
}

/// One pass, with a session that is logged in by `admin`.
pub(super) async fn keep(
    context: &Context,
    server: &DatabaseServer,
    place: &place::Server,
    (admin, session): (&Dsn, Session),
    catalog: &Catalog,
) -> Result<Kept, Error> {
    let namespace = &place.admin.secret.namespace;
    let role = RoleName::try_from(catalog.admin.name.as_str());
    let role = role.map_err(engine::wishes::Error::UserName)?;
    let config = context.config.load();
    let wishes = Wishes::of_admin(server, role, namespace, &config)?;
    // Of the admin, not of the DatabaseServer: two of these may have one admin.
    let key = schedule::stable_hash(&format!("admin:{}", wishes.role)).cast_signed();
    let accounts = wishes.access.accounts(&admin.database);
    let mut session = session.lock(&[key], accounts).await?;
    let keeper = Keeper { server, context };
    let target = Target {
        admin,
        database: &admin.database,
        access: &wishes.access,
    };
    let mut pass = Pass::new(&keeper, context, &wishes, target);
    let mut kept = pass.administer(&mut session, server, namespace).await?;
    kept.initial = pass.shut_initial(&mut session, place).await;
    if let Err(err) = session.unlock().await {
        tracing::debug!(error = chain(&err), "lock not freed");
    }
    kept.happenings = pass.happenings;
    Ok(kept)
}

impl Pass<'_, Keeper<'_>> {
    async fn administer(
        &mut self,
        session: &mut Locked,
        server: &DatabaseServer,
        namespace: &str,
    ) -> Result<Kept, Error> {
        let Seen {
            observed,
            found,
            credential,
        } = self.observe(session, recorded(server), true).await?;
        if session.use_lent_logins().await? {
            decide::lent_logins(self.wishes, &observed)?;
        } else {
            self.house(session, &observed).await?;
        }
        let writers = found.as_ref().map(Found::other_writers);
        let sessions = observed.catalog.sessions.clone();
        let uid = server.uid().unwrap_or_default();
        let mut published = self
            .credential(session, &observed, found, credential)
            .await?;
        let keys = published.stored.credentials();
        for key in keys {
            self.context.keyring.keep(&uid, key);
        }
        let retired = self.retire(session, &observed, &mut published).await?;
        let now = self.context.now();
        let due = Times::of(self.wishes, &published, &retired, now).due;
        Ok(Kept {
            secret: RotatedAdmin {
                namespace: namespace.to_owned(),
                name: self.wishes.secret.name.clone(),
                began_with: server.spec.admin_secret_ref.name.clone(),
            },
            published,
            retired,
            due,
            happenings: Vec::new(),
            writers: writers.unwrap_or_default(),
            sessions,
            initial: Initial::Open(None),
        })
    }
}
