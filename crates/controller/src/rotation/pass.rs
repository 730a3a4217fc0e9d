//! What the stages of one pass at a server share, and those that begin and end it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use api::claim::Revocation;
use engine::{
    ErrorClass,
    catalog::{Catalog, Session},
    decide::{self, House},
    drift::Why,
    dsn::{Credential, Dsn},
    names::Login,
    observed::{Observed, Proof, Recorded},
    rotation::{Cause, Step},
    schedule,
    secret::Stored,
    step::ServerStep,
    wishes::{Mode, Wishes},
};
use jiff::Timestamp;

use super::{Happening, Subject, Target, check_owner, observe};
use crate::{
    context::Context,
    engines::Locked,
    error::{Error, chain},
    publish::{self, Found},
    quota,
};

/// A pass under way.
pub(crate) struct Pass<'a, S> {
    pub subject: &'a S,
    pub context: &'a Context,
    pub wishes: &'a Wishes,
    pub target: Target<'a>,
    /// The comments of the claim's roles, as this pass last saw or wrote them.
    pub comments: HashMap<String, String>,
    pub happenings: Vec<Happening>,
}

/// The credential that the Secret holds now.
pub(crate) struct Published {
    pub stored: Stored,
    pub login: Login,
    pub rotated_at: Timestamp,
    pub deferred: Option<Deferred>,
    pub throttled: Option<Throttled>,
}

/// A rotation that waits for sessions to end.
pub(crate) struct Deferred {
    pub login: Login,
    pub cause: Cause,
    pub sessions: Vec<Session>,
    pub since: Timestamp,
}

/// A rotation that waits for its turn.
pub(crate) struct Throttled {
    pub cause: Cause,
    pub server: String,
    pub limit: usize,
    /// When to ask again.
    pub until: Timestamp,
}

impl Published {
    pub(crate) fn of(found: &Found, login: Login, rotated_at: Timestamp) -> Self {
        Self {
            stored: found.stored.clone(),
            login,
            rotated_at,
            deferred: None,
            throttled: None,
        }
    }

    /// How long nothing happens while the rotation waits, if it does.
    pub(crate) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let deferred = self.deferred.as_ref();
        let deferred = deferred.map(|deferred| schedule::patience(deferred.since, now));
        let throttled = self.throttled.as_ref();
        let throttled = throttled.map(|throttled| schedule::until(now, throttled.until));
        deferred.or(throttled)
    }

    /// What was observed, with what is published now in the place of what was published then.
    pub(super) fn after(&self, observed: &Observed) -> Observed {
        Observed {
            secret: Some(self.stored.clone()),
            login: Some(self.login.clone()),
            ..observed.clone()
        }
    }
}

/// What a pass starts from, seen under the lock.
pub(crate) struct Seen {
    pub observed: Observed,
    pub found: Option<Found>,
    pub credential: Option<Credential>,
}

/// What became of earlier logins.
#[derive(Default)]
pub(crate) struct Retired {
    /// Those that this pass made unusable.
    pub logins: Vec<String>,
    /// When to look again, if that is known.
    pub next: Option<Timestamp>,
    /// Whether live sessions hold a login past its overlap.
    pub is_waiting: bool,
    /// The revocation that this pass completed.
    pub revocation: Option<Revocation>,
}

impl<'a, S: Subject> Pass<'a, S> {
    pub(crate) fn new(
        subject: &'a S,
        context: &'a Context,
        wishes: &'a Wishes,
        target: Target<'a>,
    ) -> Self {
        Self {
            subject,
            context,
            wishes,
            target,
            comments: HashMap::new(),
            happenings: Vec::new(),
        }
    }

    /// Reads Secret and server. What was edited since it was recorded is believed only after it
    /// logged in; `checks` asks for that proof in any case. A question is answered here, which ends
    /// the pass.
    pub(crate) async fn observe(
        &mut self,
        session: &mut Locked,
        recorded: Recorded,
        checks: bool,
    ) -> Result<Seen, Error> {
        let wishes = self.wishes;
        let memory = self.context.memory.get(&wishes.claim.uid);
        let recorded = Recorded {
            revoked: recorded.revoked.max(memory.revoked),
            ..recorded
        };
        let (client, namespace) = (&self.context.client, &wishes.claim.namespace);
        let found = publish::read(client, namespace, &wishes.secret.name).await?;
        check_owner(wishes, found.as_ref().map(|found| &found.stored))?;
        let version = found.as_ref().map(|found| &found.stored.resource_version);
        let is_touched = version != recorded.secret_resource_version.as_ref();
        let (published, credential) = match &found {
            Some(found) if checks || is_touched => {
                observe::prove(self.context, wishes, &found.stored, &self.target).await?
            }
            Some(found) => (
                Proof::NotAsked,
                found.stored.credentials().into_iter().next(),
            ),
            None => (Proof::NotAsked, None),
        };
        let question = wishes.question(self.target.database);
        let catalog = session.observe(&question).await?;
        let roles = catalog.roles.iter();
        self.comments = roles
            .filter_map(|(name, role)| Some((name.clone(), role.comment.clone()?)))
            .collect();
        let secret = found.as_ref().map(|found| found.stored.clone());
        let login = match published {
            Proof::Refused => secret.as_ref().and_then(Stored::login),
            _ => credential
                .as_ref()
                .map(|credential| credential.login.clone()),
        };
        let observed = Observed {
            secret,
            login,
            catalog,
            published,
            recorded,
        };
        observe::check_take_over(wishes, self.target.database, &observed)?;
        Box::pin(self.inspect(&observed)).await?;
        Ok(Seen {
            observed,
            found,
            credential,
        })
    }

    /// Roles, logins and database: what is asked for first, then what differs. Returns what was done
    /// and what was left.
    pub(crate) async fn house(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
    ) -> Result<House, Error> {
        let (now, catalog) = (self.context.now(), &observed.catalog);
        let mut house = decide::house(self.wishes, self.target.database, observed, now)?;
        if house.steps.is_empty() && house.repairs.is_empty() {
            return Ok(house);
        }
        // Status is its owner's to write: who says there that it has a place may have none.
        if house
            .steps
            .iter()
            .any(|step| is_founding(self.wishes, step))
        {
            quota::reserve(self.context, self.wishes)?;
        }
        self.subject.check_live().await?;
        self.change(session, &house.steps, catalog).await?;
        let marked = house.steps.iter().filter_map(ServerStep::marked_login);
        self.comments
            .extend(marked.map(|(login, mark)| (login.to_string(), mark.to_string())));
        for step in std::mem::take(&mut house.repairs) {
            match self
                .change(session, std::slice::from_ref(&step), catalog)
                .await
            {
                Ok(()) => house.repairs.push(step),
                Err(err) if is_passing(&err) => return Err(err),
                // A difference that stays takes nothing from anybody.
                Err(err) => {
                    tracing::warn!(error = chain(&err), "a difference is not repaired");
                    house.left.push((step, Why::Admin));
                }
            }
        }
        Ok(house)
    }

    /// Says what differed on the server though everything had been there.
    pub(crate) fn say_repaired(&mut self, house: &House) {
        let House {
            steps,
            repairs,
            leaving,
            left: _,
        } = house;
        let done = steps.iter().chain(repairs).chain(leaving);
        let what: Vec<_> = done.filter_map(ServerStep::difference).collect();
        if !what.is_empty() {
            self.happenings.push(Happening::Repaired { what });
        }
    }

    /// Applies steps and counts what they made.
    pub(crate) async fn change(
        &self,
        session: &mut Locked,
        steps: &[ServerStep],
        catalog: &Catalog,
    ) -> Result<(), Error> {
        let (metrics, started) = (&self.context.metrics.rotation, Instant::now());
        let role = self.wishes.role.as_str();
        let outcome = session.apply(steps, catalog).await;
        if let Err(err) = &outcome {
            metrics.structure_failed(err.class().reason(), role);
        } else {
            for step in steps {
                match step {
                    ServerStep::CreateLogin { .. } => {
                        metrics.login_created(role, started.elapsed());
                    }
                    ServerStep::OwnDatabase { .. } => metrics.database_created(),
                    ServerStep::Retire { .. } | ServerStep::DropLogin { .. } => {
                        metrics.login_removed();
                    }
                    _ => {}
                }
            }
        }
        outcome
    }

    /// Step 9. Retirement looks at the Secret as it is now: a login that was just replaced is not
    /// due.
    pub(crate) async fn retire(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
        published: &mut Published,
    ) -> Result<Retired, Error> {
        let revocation = Box::pin(self.revoke(session, observed, published)).await?;
        let revoked = revocation.as_ref().and_then(|it| it.login.clone());
        let mut logins: Vec<_> = revoked.into_iter().collect();
        let after = published.after(observed);
        let retirement = decide::retirement(self.wishes, &after, self.context.now());
        if !retirement.steps.is_empty() {
            let over: Vec<_> = retirement.steps.iter().filter_map(retired_login).collect();
            let ends: Vec<_> = over.iter().map(String::as_str).collect();
            let happenings = self.subject.let_go(&ends).await?;
            self.happenings.extend(happenings);
            let catalog = &observed.catalog;
            self.empty_hands(&retirement.steps, catalog).await?;
            self.change(session, &retirement.steps, catalog).await?;
            self.context.hook.reached(Step::Retire);
            logins.extend(over.iter().cloned());
            self.happenings.push(Happening::Retired { logins: over });
        }
        Ok(Retired {
            logins,
            next: retirement.next,
            is_waiting: retirement.is_waiting,
            revocation,
        })
    }

    /// What a login that is about to be dropped owns in the claim's own database goes to the owner
    /// role first: the home session can't see it there.
    async fn empty_hands(&self, steps: &[ServerStep], catalog: &Catalog) -> Result<(), Error> {
        for step in steps {
            if let ServerStep::DropLogin { login, role } = step
                && !self.target.is_home()
            {
                let admin = self.target.admin_dsn();
                let engines = &self.context.engines;
                engines.empty_hands(&admin, login, role, catalog).await?;
            }
        }
        Ok(())
    }
}

impl Target<'_> {
    /// Whether the admin is at home in the claim's own database, as in an adopted one.
    fn is_home(&self) -> bool {
        let Dsn { database, .. } = self.admin;
        database == self.database
    }
}

/// Whether the same may go well at another time.
fn is_passing(err: &Error) -> bool {
    matches!(err.class(), ErrorClass::Conflict | ErrorClass::Unavailable)
}

/// Whether the step makes what quotas count.
fn is_founding(wishes: &Wishes, step: &ServerStep) -> bool {
    match step {
        ServerStep::OwnDatabase { .. } => true,
        ServerStep::CreateOwner { .. } => wishes.mode == Mode::Share,
        _ => false,
    }
}

fn retired_login(step: &ServerStep) -> Option<String> {
    match step {
        ServerStep::Retire { login } | ServerStep::DropLogin { login, .. } => {
            Some(login.to_string())
        }
        _ => None,
    }
}
