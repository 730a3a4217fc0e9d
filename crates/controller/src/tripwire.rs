//! The tripwire: on servers that ask for it, reads of refused logins in the server's log, and tells
//! the claims whose logins they were. It only reads; what it can't read harms nothing else.

mod holders;
mod own;
mod report;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::server::DatabaseServer;
use engine::{
    timing,
    tripwire::{self, Attempt, Blind, GRACE, Phase, Reading, Tally},
};
use jiff::Timestamp;
use kube::ResourceExt;

use self::holders::Holders;
pub use self::{holders::Claim, own::OwnRefusals, report::report};
use crate::{context::Context, error::Error, rotation::pods, server};

/// How often a log is read; `driftCheckPeriod`, if that is shorter.
const LOOK: Duration = Duration::from_mins(1);

/// So many pieces of a log are read in one look, each of at most 1 MiB.
const MOST_READS: usize = 32;

const REASON: &str = "RetiredCredentialUsed";

/// What this process remembers: how far the logs of servers were read, and what claims were not
/// told yet.
#[derive(Default)]
pub struct Tripwire {
    watches: Mutex<HashMap<String, Watch>>,
    tallies: Mutex<HashMap<String, (Claim, Tally)>>,
}

#[derive(Debug, Clone, Default)]
struct Watch {
    looked_at: Option<Timestamp>,
    position: Option<String>,
    /// Another server's log has other positions.
    address: String,
}

/// What one look at a server came to.
pub enum Seen {
    /// Nobody asked for it.
    Off,
    /// It is not time yet.
    Resting,
    Read {
        position: String,
        /// The newest attempt on a login of a claim.
        newest: Option<Timestamp>,
    },
    Blind(Blind),
    Failed(Error),
}

/// How long a server may be left alone.
pub fn pause(context: &Context, server: &DatabaseServer) -> Duration {
    if is_wanted(server) {
        LOOK.min(context.config.load().drift_check_period)
    } else {
        LOOK
    }
}

/// Reads on in the server's log, if it is time, and tells what was found.
pub async fn look(context: &Context, server: &DatabaseServer, now: Timestamp) -> Seen {
    let uid = server.uid().unwrap_or_default();
    if !is_wanted(server) {
        context.tripwire.watches().remove(&uid);
        return Seen::Off;
    }
    if !context.tripwire.begins(&uid, now, pause(context, server)) {
        return Seen::Resting;
    }
    // An attempt on a login whose claim is not cached yet would be nobody's.
    context.is_synced().await;
    match read(context, server).await {
        Ok(Ok(reading)) => {
            let Reading {
                position, attempts, ..
            } = reading;
            let newest = find(context, server, attempts);
            tell(context, now).await;
            Seen::Read { position, newest }
        }
        Ok(Err(blind)) => Seen::Blind(blind),
        Err(err) => Seen::Failed(err),
    }
}

fn is_wanted(server: &DatabaseServer) -> bool {
    let tripwire = server.spec.tripwire.as_ref();
    tripwire.is_some_and(|tripwire| tripwire.enabled)
}

async fn read(context: &Context, server: &DatabaseServer) -> Result<Result<Reading, Blind>, Error> {
    let (place, permit) = server::enter(context, server).await?;
    let uid = server.uid().unwrap_or_default();
    let address = place.address.to_string();
    let after = context.tripwire.position(&uid, &address, server);
    let outcome = read_on(context, &place, &uid, after).await;
    permit.learn(&outcome);
    if let Ok(Ok(reading)) = &outcome {
        let position = reading.position.clone();
        context.tripwire.moves(&uid, position, address);
    }
    outcome
}

/// Piece after piece to the end, or as far as one look may go.
async fn read_on(
    context: &Context,
    place: &engine::place::Server,
    uid: &str,
    after: Option<String>,
) -> Result<Result<Reading, Blind>, Error> {
    let (_, mut session) = server::log_in(context, place, uid).await?;
    let (mut after, mut attempts) = (after, Vec::new());
    for _ in 0..MOST_READS {
        let reading = match session.refused_logins(after.as_deref()).await? {
            Ok(reading) => reading,
            Err(blind) => return Ok(Err(blind)),
        };
        attempts.extend(reading.attempts);
        after = Some(reading.position);
        if !reading.is_behind {
            break;
        }
    }
    Ok(Ok(Reading {
        position: after.unwrap_or_default(),
        is_behind: false,
        attempts,
    }))
}

/// Counts the attempts that were on logins of claims. Returns when the newest was.
fn find(context: &Context, server: &DatabaseServer, attempts: Vec<Attempt>) -> Option<Timestamp> {
    if attempts.is_empty() {
        return None;
    }
    let name = server.name_any();
    let holders = Holders::on(context, &name);
    let asked = server.spec.tripwire.as_ref();
    let grace = asked.and_then(|asked| timing::duration(asked.grace.as_ref()?));
    let mut newest = None;
    for attempt in attempts {
        let Some(holder) = holders.of(&attempt) else {
            continue;
        };
        if context.engines.own_refusals().explain(&attempt) {
            continue;
        }
        newest = newest.max(Some(attempt.at));
        let phase = holder.phase(&attempt, grace.unwrap_or(GRACE));
        let namespace = holder.claim.namespace();
        context.metrics.attempts.count(&namespace, &name, phase);
        if phase == Phase::Settled {
            context.tripwire.note(&holder.claim, &attempt);
        }
    }
    newest
}

/// Tells each claim that has something to hear and heard nothing for a while.
async fn tell(context: &Context, now: Timestamp) {
    for (claim, groups, others) in context.tripwire.due(now) {
        let pods = pods(&context.client, &claim.namespace()).await;
        let note = tripwire::note(&groups, others, &pods);
        match &claim {
            Claim::Claim(claim) => context.events.warning(&**claim, REASON, &note).await,
            Claim::RoleClaim(claim) => context.events.warning(&**claim, REASON, &note).await,
        }
    }
}

impl Tripwire {
    /// Whether it is time for a look, which then begins.
    fn begins(&self, uid: &str, now: Timestamp, pause: Duration) -> bool {
        let mut watches = self.watches();
        let watch = watches.entry(uid.to_owned()).or_default();
        let is_time = watch.looked_at.is_none_or(|at| at + pause <= now);
        if is_time {
            watch.looked_at = Some(now);
        }
        is_time
    }

    /// Where to read on: where this process was, else where an earlier one was.
    fn position(&self, uid: &str, address: &str, server: &DatabaseServer) -> Option<String> {
        let watches = self.watches();
        let watch = watches.get(uid)?;
        if watch.address.is_empty() {
            let status = server.status.as_ref()?.tripwire.as_ref()?;
            return Some(status.position.clone());
        }
        let is_same = watch.address == address;
        watch.position.clone().filter(|_| is_same)
    }

    fn moves(&self, uid: &str, position: String, address: String) {
        if let Some(watch) = self.watches().get_mut(uid) {
            watch.position = Some(position);
            watch.address = address;
        }
    }

    fn note(&self, claim: &Claim, attempt: &Attempt) {
        let mut tallies = self.tallies();
        let new = || (claim.clone(), Tally::default());
        let (_, tally) = tallies.entry(claim.uid()).or_insert_with(new);
        tally.add(attempt);
    }

    fn due(&self, now: Timestamp) -> Vec<(Claim, Vec<tripwire::Group>, u64)> {
        let mut tallies = self.tallies();
        tallies.retain(|_, (_, tally)| !tally.is_over(now));
        let due = tallies.values_mut().filter_map(|(claim, tally)| {
            let (groups, others) = tally.take_due(now)?;
            Some((claim.clone(), groups, others))
        });
        due.collect()
    }

    /// Forgets all others.
    pub fn prune(&self, alive: &HashSet<String>) {
        self.watches().retain(|uid, _| alive.contains(uid));
        self.tallies().retain(|uid, _| alive.contains(uid));
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<String, Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<String, (Claim, Tally)>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
