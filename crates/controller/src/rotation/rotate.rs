//! Steps 4 to 8 of a rotation, and the repair that sets a published password again.
//!
//! Guarantees: the login that the Secret names is not touched before the new one was seen to log
//! in; a crash after any step leaves the published credential working, and the next pass converges.
//! Assumption: the session that changes roles is the one that holds the claim's lock.

use engine::{
    dsn::Credential,
    mark::Mark,
    names::Login,
    observed::Observed,
    rotation::{Cause, Step, pick::Idle},
    secret,
    step::ServerStep,
};
use jiff::Timestamp;

use super::{Happening, Pass, Published, Subject};
use crate::{
    engines::Locked,
    error::Error,
    publish::{self, Found, Publication},
};

/// What was decided of a replacement.
pub(super) struct Order {
    pub idle: Idle,
    pub cause: Cause,
    pub base: String,
    pub needs_fence: bool,
    pub ends_sessions: bool,
}

/// Replaces the published credential by one of the idle login.
pub(super) async fn rotate<S: Subject>(
    pass: &mut Pass<'_, S>,
    session: &mut Locked,
    observed: &Observed,
    found: Option<Found>,
    order: Order,
) -> Result<Published, Error> {
    let (context, wishes) = (pass.context, pass.wishes);
    let started = std::time::Instant::now();
    for step in [Step::Pick, Step::Check, Step::Lock] {
        context.hook.reached(step);
    }
    let found = match found {
        Some(found) if order.needs_fence => {
            Some(publish::fence(&context.client, &wishes.claim, &found).await?)
        }
        found => found,
    };
    let base = found
        .as_ref()
        .map_or(order.base, |found| found.stored.resource_version.clone());
    let login = order.idle.login().clone();
    if order.ends_sessions {
        session
            .apply(
                &[ServerStep::Terminate {
                    login: login.clone(),
                }],
                &observed.catalog,
            )
            .await?;
        pass.happenings.push(Happening::SessionsEnded {
            login: login.clone(),
        });
    }
    let password = context.passwords.fresh(wishes.password)?;
    let credential = Credential {
        login: login.clone(),
        password,
    };
    let mark = wishes.login_mark().attempt(base);
    let setting = std::time::Instant::now();
    set(pass, session, &credential, &mark).await?;
    context.metrics.rotation.password_set(setting.elapsed());
    context.hook.reached(Step::Set);

    let dsn = pass.target.dsn(credential.clone());
    let dsns = pass.target.dsns(credential.clone());
    context.engines.log_in(&dsns, &wishes.role).await?;
    context.hook.reached(Step::Verify);

    let publication = publication(pass, observed, found.as_ref(), &login);
    let data = secret::data(&dsn, &wishes.secret, publication.generation);
    let written = publish::publish(
        &context.client,
        &wishes.claim,
        &wishes.secret,
        found.as_ref(),
        &data,
        &publication,
    )
    .await?;
    context.hook.reached(Step::Publish);
    confirm(pass, session, &credential).await?;
    context.hook.reached(Step::Confirm);
    context
        .metrics
        .rotation
        .rotated(order.cause, started.elapsed());
    report(pass, login.clone(), order.cause);
    Ok(Published::of(&written, login, publication.rotated_at))
}

/// What the Secret says about the credential of `login`, which is about to be published.
fn publication<S: Subject>(
    pass: &Pass<'_, S>,
    observed: &Observed,
    found: Option<&Found>,
    login: &Login,
) -> Publication {
    let known = found.map_or(0, |found| found.stored.generation());
    let published = observed.login.as_ref().map(ToString::to_string);
    let asked = pass.wishes.timing.asked.rotate.clone();
    Publication {
        generation: known.max(observed.recorded.generation).saturating_add(1),
        rotated_at: whole_seconds(pass.context.now()),
        previous_login: published
            .or_else(|| observed.recorded.current_login.clone())
            .filter(|previous| *previous != login.as_str()),
        handled_nonce: asked.or_else(|| observed.handled_nonce().map(str::to_owned)),
    }
}

/// Step 7: what the Secret now holds must log in; if it does not, that password is set again. It
/// is the published one, so nobody's credential is taken away by that.
async fn confirm<S: Subject>(
    pass: &mut Pass<'_, S>,
    session: &mut Locked,
    credential: &Credential,
) -> Result<(), Error> {
    let dsns = pass.target.dsns(credential.clone());
    let role = &pass.wishes.role;
    match pass.context.engines.log_in(&dsns, role).await {
        Err(err) if err.is_refused_login() => {}
        // The new credential is in use already.
        Err(err) if err.is_full_login() => return Ok(()),
        outcome => return Ok(outcome?),
    }
    let login = credential.login.clone();
    pass.happenings.push(Happening::NotConfirmed { login });
    restore(pass, session, credential).await
}

/// Sets the published password on its login again, and sees it log in.
pub(super) async fn restore<S: Subject>(
    pass: &mut Pass<'_, S>,
    session: &mut Locked,
    credential: &Credential,
) -> Result<(), Error> {
    let wishes = pass.wishes;
    set(pass, session, credential, &wishes.login_mark()).await?;
    let dsns = pass.target.dsns(credential.clone());
    match pass.context.engines.log_in(&dsns, &wishes.role).await {
        Err(err) if err.is_full_login() => Ok(()),
        outcome => Ok(outcome?),
    }
}

async fn set<S: Subject>(
    pass: &mut Pass<'_, S>,
    session: &mut Locked,
    credential: &Credential,
    mark: &Mark,
) -> Result<(), Error> {
    let login = &credential.login;
    let seen = pass.comments.get(login.as_str()).map(String::as_str);
    session.set_password(credential, mark, seen).await?;
    pass.comments.insert(login.to_string(), mark.to_string());
    Ok(())
}

/// The API server keeps times in seconds; so do we.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn report<S: Subject>(pass: &mut Pass<'_, S>, login: Login, cause: Cause) {
    let secret = pass.wishes.secret.name.clone();
    let former = pass.subject.recorded_secret().map(str::to_owned);
    let happening = match (cause, former.filter(|former| *former != secret)) {
        (Cause::FirstPublication, _) => Happening::Provisioned {
            database: pass.target.database.to_string(),
            secret,
        },
        (Cause::SecretDeleted, Some(from)) => Happening::SecretRenamed { from, to: secret },
        _ => Happening::Rotated { login, cause },
    };
    pass.happenings.push(happening);
}
