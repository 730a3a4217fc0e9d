//! The listener's own port stands for the primary of a set: some drivers take one address without
//! options for the only server there is, and write there.
//!
//! Those that look for the other members go on at the members' own ports, which stay what they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{End, Relay, while_there};
use crate::command::Outcome;
use crate::hello::{self, Role};
use crate::wire::{Frame, Message};

/// Drivers give up after 10 s. Until then whoever answers may still be elected.
const PATIENCE: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(250);

/// What servers say that are not primary (any more), or about to end.
const NOT_PRIMARY: [i32; 7] = [91, 189, 10058, 10107, 11600, 11602, 13435];

/// How a connection chooses its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// The member of the port.
    Member,
    /// The primary, from the first hello on.
    Primary,
    /// It found one, and ends with its time.
    Found,
    /// There was none.
    Anybody,
}

impl Relay {
    /// Sends a hello and returns where it went, and the first answer.
    pub(super) async fn say_hello(&mut self, bytes: &[u8]) -> Result<(usize, Frame), End> {
        let since = Instant::now();
        loop {
            let place = self.any().await?;
            let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
            upstream.send(bytes).await?;
            upstream.is_greeted = true;
            let answer = while_there(&mut self.client, upstream.receive()).await??;
            if self.aim != Aim::Primary {
                return Ok((place, answer));
            }
            match hello::role(Message::parse(answer.payload())?.body) {
                Role::Primary => self.aim = Aim::Found,
                Role::Secondary(primary) if since.elapsed() < PATIENCE => {
                    self.go_on_to(primary.map(Arc::from)).await?;
                    continue;
                }
                Role::Secondary(_) => self.aim = Aim::Anybody,
                Role::NoMember => self.aim = Aim::Member,
            }
            return Ok((place, answer));
        }
    }

    /// To the primary, or else to whoever answers in a while.
    async fn go_on_to(&mut self, primary: Option<Arc<str>>) -> Result<(), End> {
        self.upstreams.clear();
        self.member = None;
        if let Some(primary) = primary
            && let Ok(upstream) = self.shared.open(Some(&primary)).await
        {
            self.upstreams.push(upstream);
            self.member = Some(primary);
            return Ok(());
        }
        let pause = tokio::time::sleep(RETRY);
        while_there(&mut self.client, pause).await
    }

    /// Fails where the connection's primary is none any more: the driver's next one finds another.
    pub(super) fn still_fits(&self, answer: &Message<'_>) -> Result<(), End> {
        match hello::role(answer.body) {
            Role::Secondary(_) if self.aim == Aim::Found => Err(End::Gone),
            _ => Ok(()),
        }
    }

    /// Whether the driver has just been told so by a command.
    pub(super) fn has_lost_primary(&self, outcome: &Outcome) -> bool {
        let is_told = outcome.code.is_some_and(|code| NOT_PRIMARY.contains(&code));
        is_told && matches!(self.aim, Aim::Found | Aim::Anybody)
    }
}
