//! The end of a revocation: the login whose credential leaked is shut, and its sessions are ended.
//!
//! Guarantee: when this is recorded, nobody can log in with the revoked credential or an earlier
//! one, and nobody who did is still there. Another login's sessions are not touched.

use std::{collections::BTreeSet, time::Duration};

use api::claim::Revocation;
use engine::{
    catalog::{Question, Session},
    decide,
    names::Login,
    observed::Observed,
    rotation::Step,
    step::ServerStep,
};

use super::{Happening, Pass, Published, Subject};
use crate::{engines::Locked, error::Error, publish};

/// A server ends sessions when it gets to it; so often is looked whether it did.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

impl<S: Subject> Pass<'_, S> {
    /// What is left to do of a revocation, after its credential was replaced.
    pub(crate) async fn revoke(
        &mut self,
        session: &mut Locked,
        observed: &Observed,
        published: &mut Published,
    ) -> Result<Option<Revocation>, Error> {
        let after = published.after(observed);
        let Some(revocation) = decide::revocation(self.wishes, &after) else {
            return Ok(None);
        };
        let mut ended = Vec::new();
        if let Some(login) = &revocation.login {
            if revocation.needs_fence {
                self.move_version(published).await?;
            }
            if revocation.closes {
                let happenings = self.subject.let_go(&[login.as_str()]).await?;
                self.happenings.extend(happenings);
                let shut = ServerStep::Retire {
                    login: login.clone(),
                };
                self.change(session, &[shut], &observed.catalog).await?;
                self.context.hook.reached(Step::Retire);
            }
            ended = self.end_sessions(session, login).await?;
        }
        let generation = revocation.generation;
        let (memory, uid) = (&self.context.memory, &self.wishes.claim.uid);
        memory.update(uid, |memory| memory.revoked = Some(generation));
        let login = revocation.login.map(|login| login.to_string());
        let sessions_ended = i64::try_from(ended.len()).unwrap_or(i64::MAX);
        self.happenings.push(Happening::Revoked {
            generation,
            login: login.clone(),
            sessions: ended,
        });
        Ok(Some(Revocation {
            generation,
            login,
            sessions_ended,
            at: Some(self.context.now()),
        }))
    }

    /// Lets a publication that began before this fail: it would name a login that is shut.
    async fn move_version(&self, published: &mut Published) -> Result<(), Error> {
        let (client, wishes) = (&self.context.client, self.wishes);
        let (claim, name) = (&wishes.claim, &wishes.secret.name);
        let found = publish::read(client, &claim.namespace, name).await?;
        let found = found
            .filter(|found| found.stored.resource_version == published.stored.resource_version);
        let found = found.ok_or(Error::SecretMoved)?;
        published.stored = publish::fence(client, claim, &found).await?.stored;
        Ok(())
    }

    /// Ends all sessions of a login that is shut; returns when the server has none.
    async fn end_sessions(
        &self,
        session: &mut Locked,
        login: &Login,
    ) -> Result<Vec<Session>, Error> {
        let question = Question {
            logins: vec![login.clone()],
            ..self.wishes.question(self.target.database)
        };
        let (mut ended, mut known) = (Vec::new(), BTreeSet::new());
        for _ in 0..LOOKS {
            let catalog = session.observe(&question).await?;
            let is_its = |session: &&Session| session.login == *login;
            if !catalog.sessions.iter().any(|session| is_its(&session)) {
                return Ok(ended);
            }
            let live = self.sessions(&catalog).await;
            let new = live.iter().filter(is_its);
            let new = new.filter(|session| known.insert(session.pid));
            ended.extend(new.cloned());
            let ending = ServerStep::Terminate {
                login: login.clone(),
            };
            self.change(session, &[ending], &catalog).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::SessionsStay {
            login: login.to_string(),
        })
    }
}
