//! Carries out what was decided, in its order, under the claim's lock on the server.

use api::{
    claim::DatabaseClaim,
    conditions::{self, Type},
};
use engine::{
    catalog::Catalog,
    decide::{self, ContentsPlan, House},
    drift::Drift,
    dsn::Dsn,
    names::{Login, LoginPair},
    observed::Observed,
    secret::Stored,
    step::ServerStep,
    wishes::{Mode, Wishes},
};

use super::{
    claimant::Claimant,
    inputs::Inputs,
    recorded,
    report::{self, Outcome},
};
use crate::{
    context::Scope,
    engines::{Locked, Session},
    error::Error,
    rotation::{
        Happening, Pass, Published, Seen, Target,
        record::{self, Times},
    },
};

/// One pass at the server. The lock is held on the very session that changes roles, so that a
/// controller which loses the session loses the power to change them too.
pub(super) async fn apply(
    claim: &DatabaseClaim,
    scope: &Scope,
    inputs: &Inputs,
    admin: &Dsn,
    session: Session,
    checks: bool,
) -> Result<Outcome, Error> {
    let database = recorded::database(claim, inputs.choice.mode, admin)?;
    let access = &inputs.wishes.access;
    let target = Target {
        admin,
        database: &database,
        access,
    };
    let (key, accounts) = (inputs.wishes.claim.lock_key(), access.accounts(&database));
    let mut session = session.lock(&[key], accounts).await?;
    let claimant = Claimant { claim, scope };
    let mut pass = Pass::new(&claimant, &scope.context, &inputs.wishes, target);
    let outcome = pass.run(&mut session, checks).await?;
    // The lock goes with the session; that it was not freed politely undoes nothing.
    if let Err(err) = session.unlock().await {
        tracing::debug!(error = crate::error::chain(&err), "lock not freed");
    }
    Ok(Outcome {
        happenings: pass.happenings,
        ..outcome
    })
}

/// What decides about a look inside the database.
struct Inside {
    is_new: bool,
    only_observes: bool,
    checks: bool,
}

impl Pass<'_, Claimant<'_>> {
    async fn run(&mut self, session: &mut Locked, checks: bool) -> Result<Outcome, Error> {
        let recorded = recorded::recorded(self.subject.claim);
        let Seen {
            observed,
            found,
            credential,
        } = self.observe(session, recorded, checks).await?;
        let house = self.house(session, &observed).await?;
        let made_database = self.tell(&house, &observed).await?;
        let mut drift = house.drift();
        let inside = Inside {
            is_new: made_database || self.is_unsettled(),
            only_observes: decide::only_observes(self.wishes, &observed.recorded),
            checks: checks || self.is_drifted(),
        };
        let contents = self.contents(session, &inside).await?;
        if inside.only_observes {
            drift.look_inside(contents.as_ref());
        }
        let published = self
            .credential(session, &observed, found, credential)
            .await?;
        let outcome = self.outcome(session, observed, contents, published, made_database);
        let outcome = outcome.await?;
        Ok(Outcome { drift, ..outcome })
    }

    /// Says what became of roles and database. Returns whether the database was made now.
    async fn tell(&mut self, house: &House, observed: &Observed) -> Result<bool, Error> {
        let makes = |step: &ServerStep| matches!(step, ServerStep::OwnDatabase { .. });
        let made_database = house.steps.iter().any(makes);
        if let Some(ServerStep::RenameOwner { from, to }) = house.steps.first() {
            let (from, to) = (from.to_string(), to.to_string());
            // Said at once: whatever fails after this, the role has its new name.
            report::renamed(self.subject.claim, self.context, self.wishes).await?;
            self.happenings.push(Happening::OwnerRenamed { from, to });
        } else if observed.recorded.is_provisioned && observed.recorded.is_carried_out {
            self.say_repaired(house);
        }
        self.happenings
            .extend(house.steps.iter().filter_map(elevated));
        Ok(made_database)
    }

    /// Rights, extensions and functions: compared when the claim changed, and in an adopted
    /// database, which is somebody else's to change too, at every check.
    async fn contents(
        &mut self,
        session: &mut Locked,
        inside: &Inside,
    ) -> Result<Option<ContentsPlan>, Error> {
        let wishes = self.wishes;
        let Inside {
            is_new,
            only_observes,
            checks,
        } = *inside;
        let is_adopted = wishes.mode == Mode::Adopt;
        let is_due = is_new && !only_observes || is_adopted && (is_new || checks);
        if !is_due {
            return Ok(None);
        }
        if only_observes {
            return session.compare(wishes).await.map(Some);
        }
        if is_adopted {
            return session.populate(wishes).await.map(Some);
        }
        let admin = self.target.admin_dsn();
        let mut inside = self.context.engines.acquire(&admin).await?;
        inside.populate(wishes).await.map(Some)
    }

    fn is_drifted(&self) -> bool {
        let status = self.subject.claim.status.as_ref();
        status.is_some_and(|status| record::is_drifted(&status.conditions))
    }

    fn is_unsettled(&self) -> bool {
        let claim = self.subject.claim;
        let status = claim.status.as_ref();
        let ready = status.and_then(|status| conditions::find(&status.conditions, Type::Ready));
        ready.is_none_or(|ready| {
            ready.status != "True" || ready.observed_generation != claim.metadata.generation
        })
    }

    /// Step 9, and what the claim's status will say.
    async fn outcome(
        &mut self,
        session: &mut Locked,
        observed: Observed,
        contents: Option<ContentsPlan>,
        mut published: Published,
        made_database: bool,
    ) -> Result<Outcome, Error> {
        let wishes = self.wishes;
        let now = self.context.now();
        let catalog = &observed.catalog;
        let published_in = observed.secret.as_ref().and_then(Stored::auth_source);
        let access = &wishes.access;
        let auth_databases = access.to_record(self.target.database, published_in);
        let retired = self.retire(session, &observed, &mut published).await?;
        let times = Times::of(wishes, &published, &retired, now);
        Ok(Outcome {
            version: catalog.version_text(wishes.engine),
            address: self.target.admin.address.clone(),
            database: self.target.database.clone(),
            database_created: made_database,
            contents,
            former_roles: former_left(wishes, catalog, &retired.logins),
            auth_databases,
            unsupported: unsupported(catalog),
            refused_elevation: decide::no_elevation(catalog),
            retired,
            due: times.due,
            next: times.next,
            published,
            drift: Drift::default(),
            happenings: Vec::new(),
        })
    }
}

/// Power over other roles is said whenever it changes.
fn elevated(step: &ServerStep) -> Option<Happening> {
    match step {
        ServerStep::Elevate { role } => Some(Happening::Elevated { role: role.clone() }),
        ServerStep::Demote { role } => Some(Happening::Demoted { role: role.clone() }),
        _ => None,
    }
}

fn unsupported(catalog: &Catalog) -> Vec<String> {
    let all = catalog.unsupported.iter();
    all.map(|feature| <&str>::from(feature).to_owned())
        .collect()
}

/// Earlier owner roles of which a login is still on the server.
fn former_left(wishes: &Wishes, catalog: &Catalog, retired: &[String]) -> Vec<String> {
    let is_there = |login: &Login| {
        catalog.roles.contains_key(login.as_str())
            && !retired.iter().any(|name| name == login.as_str())
    };
    let left = wishes
        .former_roles
        .iter()
        .filter(|role| LoginPair::of_role(role).both().into_iter().any(is_there));
    left.map(ToString::to_string).collect()
}
