//! The stage of a pass that keeps, repairs or replaces the published credential.

use std::time::Instant;

use api::names::annotation;
use engine::{
    decide::{self, CredentialStep},
    dsn::Credential,
    observed::Observed,
    schedule, secret,
    wishes::Bounds,
};

use super::{Deferred, Happening, Pass, Published, Subject, Throttled, rotate};
use crate::{
    engines::Locked,
    error::Error,
    publish::{self, Found, Publication},
};

impl<S: Subject> Pass<'_, S> {
    /// The credential: kept, repaired or replaced. Returns what is published now.
    pub(crate) async fn credential(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
        found: Option<Found>,
        credential: Option<Credential>,
    ) -> Result<Published, Error> {
        let step = decide::credential(self.wishes, observed, self.context.now());
        let throttled = self.turn(&step);
        match (step, found, credential) {
            (CredentialStep::Replace { .. }, Some(found), Some(credential))
                if throttled.is_some() =>
            {
                let mut published = self.keep(observed, found, credential).await?;
                published.throttled = throttled;
                Ok(published)
            }
            (
                CredentialStep::Replace {
                    idle,
                    cause,
                    base,
                    needs_fence,
                    ends_sessions,
                },
                found,
                _,
            ) => {
                let order = rotate::Order {
                    idle,
                    cause,
                    base,
                    needs_fence,
                    ends_sessions,
                };
                self.replace(session, observed, found, order).await
            }
            (
                CredentialStep::Defer {
                    idle,
                    cause,
                    sessions,
                },
                Some(found),
                Some(credential),
            ) => {
                let since = observed
                    .recorded
                    .deferred_since
                    .unwrap_or_else(|| self.context.now());
                let login = idle.login().clone();
                let deferred = Deferred {
                    login,
                    cause,
                    sessions,
                    since,
                };
                let mut published = self.keep(observed, found, credential).await?;
                if observed.recorded.deferred_since.is_none() {
                    self.happenings.push(Happening::Deferred {
                        login: deferred.login.clone(),
                        sessions: deferred.sessions.clone(),
                    });
                }
                published.deferred = Some(deferred);
                Ok(published)
            }
            (CredentialStep::Restore { login }, Some(found), Some(credential)) => {
                rotate::restore(self, session, &credential).await?;
                self.happenings.push(Happening::PasswordRestored { login });
                self.keep(observed, found, credential).await
            }
            (_, Some(found), Some(credential)) => self.keep(observed, found, credential).await,
            // Without a Secret, or without a credential in it, a replacement is decided above.
            (_, _, _) => Err(Error::SecretMoved),
        }
    }

    /// Asks for the turn of a rotation, where the server bounds their pace. Returns what to wait for.
    fn turn(&self, step: &CredentialStep) -> Option<Throttled> {
        let (context, wishes) = (self.context, self.wishes);
        let Bounds { server, quotas } = wishes.bounds.as_ref()?;
        let limit = usize::try_from(quotas.max_rotations_per_minute?).unwrap_or_default();
        let uid = &wishes.claim.uid;
        let cause = match step {
            CredentialStep::Replace { cause, .. } if cause.takes_turns() => cause,
            _ => {
                context.paces.leave(server, uid);
                return None;
            }
        };
        // Who waits is proved as often as who is settled.
        let patience = context.config.load().drift_check_period;
        let wait = context
            .paces
            .ask(server, limit, uid, patience, Instant::now());
        wait.map(|wait| Throttled {
            cause: *cause,
            server: server.clone(),
            limit,
            until: schedule::after(context.now(), wait),
        })
    }

    /// Gives the idle login another password and publishes it. Until then somebody may still use
    /// what a former Secret or a copy says of that login.
    async fn replace(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
        found: Option<Found>,
        order: rotate::Order,
    ) -> Result<Published, Error> {
        match &found {
            Some(_) => self.subject.check()?,
            None => self.subject.check_live().await?,
        }
        let idle = order.idle.login().clone();
        let happenings = self.subject.let_go(&[idle.as_str()]).await?;
        self.happenings.extend(happenings);
        let outcome = rotate::rotate(self, session, observed, found, order).await;
        match &outcome {
            Ok(_) => self.subject.follow().await,
            Err(err) => {
                let reason = err.class().reason();
                self.context.metrics.rotation.rotation_failed(reason);
            }
        }
        outcome
    }

    /// Leaves the credential as it is, and mends the Secret around it where it differs.
    async fn keep(
        &mut self,
        observed: &Observed,
        found: Found,
        credential: Credential,
    ) -> Result<Published, Error> {
        let wishes = self.wishes;
        let dsn = self.target.dsn(credential);
        let generation = found.stored.generation().max(observed.recorded.generation);
        let data = secret::data(&dsn, &wishes.secret, generation);
        let is_dressed = publish::is_dressed(&found, &wishes.claim, &wishes.secret, &data);
        let now = self.context.now();
        let rotated_at = observed.rotated_at(now).unwrap_or(now);
        let is_dated = found.stored.rotated_at() == Some(rotated_at);
        if is_dressed && is_dated && found.stored.holds(&data) {
            return Ok(Published::of(&found, dsn.credential.login, rotated_at));
        }
        let publication = Publication {
            generation,
            rotated_at,
            previous_login: found.stored.previous_login().map(str::to_owned),
            handled_nonce: observed.handled_nonce().map(str::to_owned),
        };
        let written = publish::publish(
            &self.context.client,
            &wishes.claim,
            &wishes.secret,
            Some(&found),
            &data,
            &publication,
        )
        .await?;
        let login = dsn.credential.login;
        if found
            .stored
            .annotations
            .contains_key(annotation::ROTATED_AT)
        {
            self.happenings.push(Happening::SecretRepaired);
        } else {
            self.happenings.push(Happening::TakenOver {
                login: login.to_string(),
            });
            let client = &self.context.client;
            let leftover = publish::delete_leftover(client, &wishes.claim, &wishes.secret).await;
            self.happenings
                .extend(leftover.map(|secret| Happening::LeftoverRemoved { secret }));
        }
        Ok(Published::of(&written, login, rotated_at))
    }
}
