//! The rotation of a server's admin: the machine that keeps claims' credentials keeps this one too.
//!
//! Guarantee: at every instant the Secret that the server's status names logs in as the admin. The
//! operator's own Secret is never written; its login loses its password when both others have had
//! their turn.

use std::collections::BTreeSet;

use api::server::{DatabaseServer, RotatedAdmin};
use engine::{
    catalog::{Catalog, Question, Session as LoginSession},
    decide,
    dsn::Dsn,
    names::{Login, RoleName},
    place, schedule,
    step::ServerStep,
    wishes::Wishes,
};
use jiff::Timestamp;
use kube::ResourceExt;

use super::keeper::{Keeper, recorded};
use crate::{
    claim::initial_dsn,
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
    /// The operator's login, once it has no password any more.
    pub shut: Option<String>,
}

/// Whether the credential has something to be done now, from what is cached alone.
pub(super) fn is_due(server: &DatabaseServer, now: Timestamp) -> bool {
    if server.spec.admin_rotation.is_none() {
        return false;
    }
    let Some(rotation) = server.status.as_ref().and_then(|it| it.rotation.as_ref()) else {
        return true;
    };
    let asked = engine::asked::Asked::of(server.metadata.annotations.as_ref());
    rotation.next_rotation_at.is_some_and(|next| next <= now)
        || rotation.deferred_since.is_some()
        || (asked.rotate.is_some() && asked.rotate != rotation.handled_nonce)
        || waits_to_shut(server)
}

/// Whether both logins had their turn, and the operator's still has its password.
pub(super) fn waits_to_shut(server: &DatabaseServer) -> bool {
    const BOTH: i64 = 2;
    let status = server.status.as_ref();
    let rotation = status.and_then(|status| status.rotation.as_ref());
    let is_shut = status.is_some_and(|status| status.initial_login_shut.is_some());
    rotation.is_some_and(|rotation| rotation.generation >= BOTH) && !is_shut
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
    kept.shut = pass.shut_initial(&mut session, place).await?;
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
            shut: None,
        })
    }

    /// Takes the password of the login that the operator gave, when both others have been published
    /// and nobody is logged in with it. The server keeps no record of it that an admin may read, so
    /// status says whether it was done.
    async fn shut_initial(
        &mut self,
        session: &mut Locked,
        place: &place::Server,
    ) -> Result<Option<String>, Error> {
        let status = self.subject.server.status.as_ref();
        if let Some(shut) = status.and_then(|status| status.initial_login_shut.clone()) {
            return Ok(Some(shut));
        }
        if !waits_to_shut(self.subject.server) {
            return Ok(None);
        }
        let initial: Login = match initial_dsn(self.context, place).await {
            Ok(dsn) => dsn.credential.login,
            // Without the operator's Secret nobody knows which login it was.
            Err(_) => return Ok(None),
        };
        if self.wishes.logins().contains(initial.as_str()) {
            return Ok(Some(initial.to_string()));
        }
        let question = Question {
            roles: vec![initial.to_string()],
            logins: vec![initial.clone()],
            ..self.wishes.question(self.target.database)
        };
        let catalog = session.observe(&question).await?;
        let is_used = catalog.sessions.iter().any(|it| it.login == initial);
        if is_used {
            return Ok(None);
        }
        let login = initial.clone();
        let disarming = [ServerStep::Disarm { login }];
        match self.change(session, &disarming, &catalog).await {
            Ok(()) => {
                let logins = vec![initial.to_string()];
                self.happenings.push(Happening::Retired { logins });
                Ok(Some(initial.to_string()))
            }
            Err(err) => {
                tracing::warn!(
                    error = chain(&err),
                    "the operator's login keeps its password"
                );
                Ok(None)
            }
        }
    }
}
