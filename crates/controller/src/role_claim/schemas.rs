//! A role claim with a `schemarolemap`: its own role and logins in the database of its source, with
//! exactly the rights that the map names, and a rotation of its own.

mod leave;

use std::{collections::BTreeSet, time::Duration};

use api::{
    claim::DatabaseClaim,
    conditions::{self, Type},
    names::{annotation, finalizer},
    role_claim::DbRoleClaim,
};
use engine::{
    agenda::{self, Agenda},
    decide,
    drift::{Drift, Why},
    dsn::Dsn,
    names::DatabaseName,
    observed::Observed,
    role_claim::{self, Ground, Refusal},
    share::{SchemaGrant, Wanted},
    step::ServerStep,
    wishes::{ClaimId, Wishes},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

pub(super) use self::leave::{leave, part};
use super::tenant::{self, Tenant};
use crate::{
    claim::{Inputs, admin_dsn},
    context::Context,
    engines::{Locked, Session},
    error::Error,
    objects, quota,
    rotation::{
        Happening, Pass, Published, Retired, Seen, Target,
        record::{self, Times},
    },
};

/// A pass that takes longer is given up, and its session and locks with it.
const LONGEST_PASS: Duration = Duration::from_mins(2);

/// What a pass left behind.
pub(super) struct Outcome {
    pub ground: Ground,
    pub wishes: Wishes,
    pub place: Place,
    pub published: Published,
    /// The roles that carry what the map asks for.
    pub grants: Vec<SchemaGrant>,
    /// What was found of the rights in the database; `None` where nobody looked.
    pub rights: Option<postgres::Shared>,
    pub retired: Retired,
    pub times: Times,
    /// What differs on the server and stays so.
    pub drift: Drift,
    pub happenings: Vec<Happening>,
}

/// Where the logins are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub address: String,
    pub database: String,
    pub owner_role: Option<String>,
}

/// What became of a pass over a role claim with its own logins.
pub(super) enum Served {
    /// There was nothing to do before this instant.
    Idle(Timestamp),
    Worked(Box<Outcome>),
}

/// The database of a source claim, as a role claim gets to it.
struct Source {
    inputs: Inputs,
    wishes: Wishes,
    admin: Dsn,
    database: DatabaseName,
}

impl Source {
    /// Error: the source has no database yet, or what it asks for can't be understood.
    async fn of(
        role_claim: &DbRoleClaim,
        context: &Context,
        source: &DatabaseClaim,
    ) -> Result<Self, Error> {
        let (inputs, wishes) = wishes_of(role_claim, context, source)?;
        let place = place_of(source).ok_or_else(|| unpublished(source))?;
        let admin = admin_dsn(context, source, &inputs.choice.place).await?;
        let database = DatabaseName::try_from(place.database);
        let database = database.map_err(|error| engine::wishes::Error::Database {
            field: "status.activeDB",
            error,
        })?;
        Ok(Self {
            inputs,
            wishes,
            admin,
            database,
        })
    }

    fn target(&self) -> Target<'_> {
        Target {
            admin: &self.admin,
            database: &self.database,
            access: &self.wishes.access,
        }
    }

    /// The source's lock guards what role claims share, and is taken first.
    async fn lock(&self, session: Session) -> Result<Locked, Error> {
        let shared = self
            .wishes
            .share
            .as_ref()
            .map(|share| share.source.lock_key());
        let keys: Vec<_> = shared
            .into_iter()
            .chain([self.wishes.claim.lock_key()])
            .collect();
        let accounts = self.wishes.access.accounts(&self.database);
        session.lock(&keys, accounts).await
    }

    /// Finds the schemas in the spelling that they have.
    async fn resolve(&mut self, context: &Context) -> Result<BTreeSet<String>, Error> {
        let Some(share) = self.wishes.share.take() else {
            return Ok(BTreeSet::new());
        };
        let inside = self.target().admin_dsn();
        let existing = context.engines.existing_schemas(&inside, &share).await?;
        self.wishes.share = Some(share.resolved(&existing));
        Ok(existing)
    }
}

fn unpublished(source: &DatabaseClaim) -> Error {
    let claim = format!(
        "{}/{}",
        source.namespace().unwrap_or_default(),
        source.name_any()
    );
    Refusal::Unpublished { claim }.into()
}

fn wishes_of(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<(Inputs, Wishes), Error> {
    let inputs = Inputs::of(source, context)?;
    let status = source.status.clone().unwrap_or_default();
    let wishes = Wishes::of_role_claim(role_claim, &inputs.wishes, &status)?;
    Ok((inputs, wishes))
}

/// Where the source claim's status says that its database is.
fn place_of(source: &DatabaseClaim) -> Option<Place> {
    let status = source.status.as_ref()?;
    let server = status.server.as_ref()?;
    let active = status.active_db.as_ref()?.connection_info.as_ref()?;
    Some(Place {
        address: server.address.clone(),
        database: active.database_name.clone()?,
        owner_role: server.owner_role.clone(),
    })
}

/// Brings role, logins, rights and Secret to what the role claim asks for.
pub(super) async fn serve(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<Served, Error> {
    let id = ClaimId::of_role_claim(role_claim)?;
    let labels = context.namespace_labels(&id.namespace);
    let lets_all_in = context.settings.role_claims_from_any_namespace;
    let ground = role_claim::ground(source, &id.namespace, &labels, lets_all_in)?;
    let place = place_of(source).ok_or_else(|| unpublished(source))?;
    let (_, wishes) = wishes_of(role_claim, context, source)?;
    let checks = match agenda(role_claim, context, &wishes, &place) {
        Agenda::Idle { until } => return Ok(Served::Idle(until)),
        Agenda::Work { checks } => checks,
    };
    if !role_claim.has_logins() {
        quota::reserve(context, &wishes)?;
    }
    objects::ensure_finalizer(&context.client, role_claim, finalizer::ROLE_CLAIM).await?;
    let mut at = Source::of(role_claim, context, source).await?;
    let connections = at.inputs.connections(&context.config.load());
    let circuit = at.inputs.circuit(&at.admin);
    let permit = context.limits.enter(&circuit, connections).await?;
    let _worker = context.workers.enter().await?;
    let session = context.engines.acquire(&at.admin).await;
    permit.learn(&session);
    let work = async {
        let existing = at.resolve(context).await?;
        let mut session = at.lock(session?).await?;
        let tenant = Tenant {
            role_claim,
            context,
            is_there: is_there(role_claim, &place),
        };
        let mut pass = Pass::new(&tenant, context, &at.wishes, at.target());
        let outcome = pass.run(&mut session, &existing, checks).await?;
        if let Err(err) = session.unlock().await {
            tracing::debug!(error = crate::error::chain(&err), "lock not freed");
        }
        let Worked {
            published,
            grants,
            rights,
            retired,
            times,
            drift,
        } = outcome;
        Ok(Outcome {
            ground,
            happenings: pass.happenings,
            wishes: at.wishes.clone(),
            place: Place {
                address: at.admin.address.to_string(),
                ..place
            },
            published,
            grants,
            rights,
            retired,
            times,
            drift,
        })
    };
    let outcome = tokio::time::timeout(LONGEST_PASS, work).await;
    let limit = LONGEST_PASS;
    let outcome = outcome.unwrap_or(Err(Error::TooLong { limit }))?;
    Ok(Served::Worked(Box::new(outcome)))
}

/// Whether status says that the logins are where the source is now.
fn is_there(role_claim: &DbRoleClaim, place: &Place) -> bool {
    let status = role_claim.status.as_ref();
    let database = status.and_then(|status| status.database.as_ref());
    database.is_some_and(|database| {
        database.name == place.database && database.owner_role == place.owner_role
    })
}

/// What is due, from caches and status alone.
fn agenda(role_claim: &DbRoleClaim, context: &Context, wishes: &Wishes, place: &Place) -> Agenda {
    let status = role_claim.status.clone().unwrap_or_default();
    let rotation = status.rotation.unwrap_or_default();
    let revoked = rotation.revocation.as_ref().map(|it| it.generation);
    let inspected = status.inspection.as_ref().map(|it| it.nonce.as_str());
    let uid = &wishes.claim.uid;
    let memory = context.memory.get(uid);
    let ready = conditions::find(&status.conditions, Type::Ready);
    let is_ready = ready.is_some_and(|ready| {
        ready.status == "True" && ready.observed_generation == role_claim.metadata.generation
    });
    let is_there = is_there(role_claim, place);
    let source = &role_claim.spec.source_database_claim;
    let source = format!("{}/{}", source.namespace, source.name);
    let ignored = conditions::find(&status.conditions, Type::FieldsIgnored);
    let is_waiting = conditions::is_true(&status.conditions, Type::Rotating);
    let name = ObjectRef::new(&wishes.secret.name).within(&wishes.claim.namespace);
    let mut secrets = context.copies.get().into_iter().flatten();
    let secret = secrets.find_map(|secrets| secrets.get(&name));
    let note = |key: &str| {
        let secret = secret.as_ref()?;
        secret.annotations().get(key).cloned()
    };
    let (version, handled) = (
        secret.as_ref().and_then(|secret| secret.resource_version()),
        note(annotation::HANDLED_ROTATE),
    );
    let known = agenda::Known {
        uid,
        timing: &wishes.timing,
        is_settled: is_ready
            && is_there
            && !is_waiting
            && status.matched_source_claim == Some(source)
            && memory.attempts == 0,
        secret_version: version.as_deref(),
        recorded_version: rotation.secret_resource_version.as_deref(),
        rotated_at: note(annotation::ROTATED_AT)
            .and_then(|at| at.parse().ok())
            .or(rotation.last_rotation_at),
        handled_nonce: handled.as_deref().or(rotation.handled_nonce.as_deref()),
        generation: rotation.generation,
        revoked: revoked.max(memory.revoked),
        ignored: ignored.map(|it| it.message.as_str()),
        inspected: inspected.or(memory.inspected.as_deref()),
        has_previous: wishes.timing.overlap.is_some() && rotation.previous_login.is_some(),
        check_every: context.config.load().drift_check_period,
        checked_at: memory.checked_at,
        started_at: context.started_at,
    };
    agenda::agenda(&known, context.now())
}

/// What the work at the server came to.
struct Worked {
    published: Published,
    grants: Vec<SchemaGrant>,
    rights: Option<postgres::Shared>,
    retired: Retired,
    times: Times,
    drift: Drift,
}

impl Pass<'_, Tenant<'_>> {
    async fn run(
        &mut self,
        session: &mut Locked,
        existing: &BTreeSet<String>,
        checks: bool,
    ) -> Result<Worked, Error> {
        let recorded = tenant::recorded(self.subject);
        let Seen {
            observed,
            found,
            credential,
        } = self.observe(session, recorded, checks).await?;
        let house = self.house(session, &observed).await?;
        let share = self.wishes.share.as_ref();
        let grants = share.map(|share| decide::grants(self.wishes, share, &observed));
        let grants = grants.transpose()?.unwrap_or_default();
        let recorded = &observed.recorded;
        if recorded.is_provisioned && recorded.is_carried_out {
            self.say_repaired(&house);
        }
        let is_due = checks || house.has_work() || !self.is_settled() || self.is_drifted();
        let mut drift = house.drift();
        let rights = match share {
            Some(share) if is_due => {
                let wanted = share.wanted(&observed.catalog, &self.wishes.role, &grants);
                let rights = if decide::only_observes(self.wishes, recorded) {
                    let inside = self.target.admin_dsn();
                    let engines = &self.context.engines;
                    engines.compare_share(&inside, &wanted, existing).await?
                } else {
                    self.furnish(session, &wanted, house.leaving, existing, &observed)
                        .await?
                };
                for sentence in &rights.left {
                    drift.add(Why::Policy, sentence.clone());
                }
                Some(rights)
            }
            _ => None,
        };
        let mut published = self
            .credential(session, &observed, found, credential)
            .await?;
        let retired = self.retire(session, &observed, &mut published).await?;
        let times = Times::of(self.wishes, &published, &retired, self.context.now());
        Ok(Worked {
            published,
            grants,
            rights,
            retired,
            times,
            drift,
        })
    }

    fn is_drifted(&self) -> bool {
        let status = self.subject.role_claim.status.as_ref();
        status.is_some_and(|status| record::is_drifted(&status.conditions))
    }

    fn is_settled(&self) -> bool {
        let role_claim = self.subject.role_claim;
        let status = role_claim.status.as_ref();
        let ready = status.and_then(|status| conditions::find(&status.conditions, Type::Ready));
        ready.is_some_and(|ready| {
            ready.status == "True" && ready.observed_generation == role_claim.metadata.generation
        })
    }

    /// The rights inside the database, and the end of roles that nobody has any more.
    async fn furnish(
        &mut self,
        session: &mut Locked,
        wanted: &Wanted,
        leaving: Vec<ServerStep>,
        existing: &BTreeSet<String>,
        observed: &Observed,
    ) -> Result<postgres::Shared, Error> {
        let (engines, wishes, catalog) = (&self.context.engines, self.wishes, &observed.catalog);
        let inside = self.target.admin_dsn();
        let rights = engines.share(&inside, wanted, existing, catalog).await?;
        if decide::is_shared_take_over(wishes, observed) && !self.subject.role_claim.has_logins() {
            // What the original's logins made belongs to a login, which the other could not use.
            for login in wishes.logins().both() {
                if catalog.roles.contains_key(login.as_str()) {
                    let role = &wishes.role;
                    engines.empty_hands(&inside, login, role, catalog).await?;
                }
            }
        }
        let last = decide::dropping(&wanted.cleared);
        let steps: Vec<_> = leaving.into_iter().chain(last).collect();
        self.change(session, &steps, catalog).await?;
        if self.is_settled() && (rights.granted > 0 || rights.revoked > 0) {
            self.happenings.push(Happening::RightsRepaired {
                missing: rights.granted,
                excess: rights.revoked,
            });
        }
        Ok(rights)
    }
}
