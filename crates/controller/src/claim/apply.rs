//! Carries out what was decided, in its order, under the claim's lock on the server.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use api::claim::DatabaseClaim;
use engine::{
    catalog::Catalog,
    decide::{self, ContentsPlan},
    dsn::Dsn,
    names::{Login, LoginPair},
    observed::{Observed, Proof},
    schedule,
    secret::Stored,
    step::ServerStep,
    wishes::{Mode, Wishes},
};

use super::{
    alive, former_secret,
    happening::Happening,
    inputs::Inputs,
    observe::{self, Target},
    pass::Pass,
    report::{self, Outcome, Published},
};
use crate::{
    context::Scope,
    copies,
    engines::{Locked, Session},
    error::Error,
    publish,
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
    let context = &scope.context;
    let database = observe::database(claim, inputs.choice.mode, admin)?;
    let access = &inputs.wishes.access;
    let target = Target {
        admin,
        database: &database,
        access,
    };
    let (key, accounts) = (inputs.wishes.claim.lock_key(), access.accounts(&database));
    let mut session = session.lock(key, accounts).await?;
    let mut pass = Pass {
        claim,
        scope,
        context,
        inputs,
        target,
        comments: HashMap::new(),
        happenings: Vec::new(),
    };
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

/// How often the sessions that hold a login past its overlap are counted.
const LONG_SESSIONS: Duration = Duration::from_secs(30);

impl Pass<'_> {
    async fn run(&mut self, session: &mut Locked, checks: bool) -> Result<Outcome, Error> {
        let wishes = &self.inputs.wishes;
        let found = publish::read(
            &self.context.client,
            &wishes.claim.namespace,
            &wishes.secret.name,
        )
        .await?;
        observe::check_owner(wishes, found.as_ref().map(|found| &found.stored))?;
        let recorded = observe::recorded(self.claim);
        let version = found.as_ref().map(|found| &found.stored.resource_version);
        // What was edited since it was recorded is believed only after it logged in.
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
        let catalog = session
            .observe(&wishes.question(self.target.database))
            .await?;
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
        let made_database = self.structure(session, &observed).await?;
        let contents = self.contents(session, made_database, checks).await?;
        let published = self
            .credential(session, &observed, found, credential)
            .await?;
        self.outcome(session, observed, contents, published, made_database)
            .await
    }

    /// Roles and database. Returns whether the database was made now.
    async fn structure(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
    ) -> Result<bool, Error> {
        let wishes = &self.inputs.wishes;
        let steps = decide::structure(wishes, self.target.database, observed)?;
        if steps.is_empty() {
            return Ok(false);
        }
        alive::check_live(self.claim, self.scope).await?;
        self.change(session, &steps, &observed.catalog).await?;
        let marked = steps.iter().filter_map(ServerStep::marked_login);
        self.comments
            .extend(marked.map(|(login, mark)| (login.to_string(), mark.to_string())));
        let makes = |step: &ServerStep| matches!(step, ServerStep::OwnDatabase { .. });
        let made_database = steps.iter().any(makes);
        if let Some(ServerStep::RenameOwner { from, to }) = steps.first() {
            let (from, to) = (from.to_string(), to.to_string());
            // Said at once: whatever fails after this, the role has its new name.
            report::renamed(self.claim, self.context, wishes).await?;
            self.happenings.push(Happening::OwnerRenamed { from, to });
        } else if self.was_provisioned() {
            let what: Vec<_> = steps.iter().filter_map(made_again).collect();
            if !what.is_empty() {
                self.happenings.push(Happening::Repaired { what });
            }
        }
        Ok(made_database)
    }

    /// Applies steps and counts what they made.
    async fn change(
        &self,
        session: &mut Locked,
        steps: &[ServerStep],
        catalog: &Catalog,
    ) -> Result<(), Error> {
        let (metrics, started) = (&self.context.metrics.rotation, Instant::now());
        let role = self.inputs.wishes.role.as_str();
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

    /// What a login that is about to be dropped owns in the claim's own database goes to the owner
    /// role first: the home session can't see it there.
    async fn empty_hands(&self, steps: &[ServerStep], catalog: &Catalog) -> Result<(), Error> {
        for step in steps {
            if let ServerStep::DropLogin { login, role } = step
                && self.inputs.choice.mode == Mode::Create
            {
                let admin = self.target.admin_dsn();
                let engines = &self.context.engines;
                engines.empty_hands(&admin, login, role, catalog).await?;
            }
        }
        Ok(())
    }

    fn was_provisioned(&self) -> bool {
        self.claim
            .status
            .as_ref()
            .is_some_and(|status| status.server.is_some())
    }

    /// Rights, extensions and functions: compared when the claim changed, and in an adopted
    /// database, which is somebody else's to change too, at every check.
    async fn contents(
        &mut self,
        session: &mut Locked,
        made_database: bool,
        checks: bool,
    ) -> Result<Option<ContentsPlan>, Error> {
        let wishes = &self.inputs.wishes;
        let is_new = made_database || self.is_unsettled();
        let is_due = checks && wishes.mode == Mode::Adopt;
        if !is_new && !is_due {
            return Ok(None);
        }
        if wishes.mode == Mode::Adopt {
            return session.populate(wishes).await.map(Some);
        }
        let admin = self.target.admin_dsn();
        let mut inside = self.context.engines.acquire(&admin).await?;
        inside.populate(wishes).await.map(Some)
    }

    fn is_unsettled(&self) -> bool {
        use api::conditions::{self, Type};

        let status = self.claim.status.as_ref();
        let ready = status.and_then(|status| conditions::find(&status.conditions, Type::Ready));
        ready.is_none_or(|ready| {
            ready.status != "True" || ready.observed_generation != self.claim.metadata.generation
        })
    }

    /// Step 9, and what the claim's status will say.
    async fn outcome(
        &mut self,
        session: &mut Locked,
        observed: Observed,
        contents: Option<ContentsPlan>,
        published: Published,
        made_database: bool,
    ) -> Result<Outcome, Error> {
        let wishes = &self.inputs.wishes;
        let now = self.context.now();
        let catalog = observed.catalog.clone();
        let published_in = observed.secret.as_ref().and_then(Stored::auth_source);
        let access = &wishes.access;
        let auth_databases = access.to_record(self.target.database, published_in);
        // Retirement looks at the Secret as it is now; a login that was just replaced is not due.
        let after = Observed {
            secret: Some(published.stored.clone()),
            login: Some(published.login.clone()),
            ..observed
        };
        let retirement = decide::retirement(wishes, &after, now);
        let mut retired = Vec::new();
        if !retirement.steps.is_empty() {
            let gone: Vec<_> = retirement.steps.iter().filter_map(retired_login).collect();
            let ends = |login: &str| gone.iter().any(|name| name == login);
            former_secret::remove(self, ends).await?;
            copies::let_go(self.context, self.claim, ends).await?;
            self.empty_hands(&retirement.steps, &catalog).await?;
            self.change(session, &retirement.steps, &catalog).await?;
            self.context.hook.reached(engine::rotation::Step::Retire);
            retired = gone;
            self.happenings.push(Happening::Retired {
                logins: retired.clone(),
            });
        }
        let due = schedule::due(
            published.rotated_at,
            wishes.timing.period,
            &wishes.claim.uid,
        );
        let due = (!wishes.timing.is_paused).then_some(due);
        let deferred = published.deferred.as_ref();
        let again = deferred.map(|deferred| schedule::patience(deferred.since, now));
        let again = again.or_else(|| retirement.is_waiting.then_some(LONG_SESSIONS));
        let next = again.map(|pause| schedule::after(now, pause)).or(due);
        Ok(Outcome {
            version: catalog.version_text(wishes.engine),
            address: self.target.admin.address.clone(),
            database: self.target.database.clone(),
            database_created: made_database,
            contents,
            former_roles: former_left(wishes, &catalog, &retired),
            auth_databases,
            unsupported: unsupported(&catalog),
            retired,
            due,
            next: [next, retirement.next].into_iter().flatten().min(),
            published,
            happenings: Vec::new(),
        })
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

fn made_again(step: &ServerStep) -> Option<String> {
    match step {
        ServerStep::CreateOwner { role, .. } => Some(format!("owner role {role}")),
        ServerStep::CreateLogin { login, .. } => Some(format!("login {login}")),
        ServerStep::CreateCopy {
            login, database, ..
        } => Some(format!("login {login} in {database}")),
        ServerStep::JoinOwner { login, .. } => Some(format!("membership of {login}")),
        ServerStep::AssumeOwner { login, .. } => Some(format!("role setting of {login}")),
        ServerStep::GrantRoles { login, .. } => Some(format!("missing roles of {login}")),
        ServerStep::RevokeRoles { login, .. } => Some(format!("roles too many of {login}")),
        ServerStep::CreateDatabase { database } => Some(format!("database {database}")),
        _ => None,
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
