//! Forwards a command and its answers, and mends what a change of the credential breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::raw::RawDocumentBuf;

use super::{End, Relay, while_there};
use crate::answers;
use crate::command::{Class, Command, Outcome};
use crate::credential::Generation;
use crate::metrics::Counted;
use crate::upstream::Refused;
use crate::wire::{Frame, Message};

/// What became of a login that the server had forgotten.
enum Restored {
    Yes,
    /// The login is gone, and the command may go there as another.
    Elsewhere(usize),
    /// The login is gone; this is what the driver is told in place of the server's words.
    No(Option<RawDocumentBuf>),
}

impl Relay {
    pub(super) async fn forward(
        &mut self,
        frame: &Frame,
        message: &Message<'_>,
        command: &Command<'_>,
    ) -> Result<(), End> {
        let pinned = self.route(command);
        if let Some(answer) = self.overdue(command, pinned) {
            return self.answer(frame, &answer).await;
        }
        let place = match command.class {
            // Nobody waits for this at the end of an application.
            Class::Ending => match self.logged_in(pinned, Duration::ZERO).await? {
                Ok(place) => place,
                Err(Refused) => self.any().await?,
            },
            Class::Closed => match self
                .logged_in(pinned, self.shared.settings.hold_timeout)
                .await?
            {
                Ok(place) => place,
                Err(Refused) if message.has_more_to_come() => return Err(End::Gone),
                Err(Refused) => return self.answer(frame, &answers::authentication_failed()).await,
            },
            _ => self.any().await?,
        };
        self.note_sent(place, command);
        if message.has_more_to_come() {
            return self.unacknowledged(frame, place).await;
        }
        self.acknowledged(frame, command, place, pinned).await
    }

    /// There will be no answer that could tell of a lost login, so it is asked for beforehand.
    async fn unacknowledged(&mut self, frame: &Frame, place: usize) -> Result<(), End> {
        let changed = self.shared.generations.changed();
        let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
        let is_doubtful = changed.is_some_and(|changed| upstream.last_answer < changed);
        if is_doubtful
            && upstream.is_forgotten().await?
            && let Some(identity) = upstream.identity.clone()
        {
            // Refused: the connection ends, which is the only sign that can be given.
            if self.log_in_again(place, &identity).await?.is_err() {
                return Err(End::Gone);
            }
        }
        let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
        Ok(upstream.send(&frame.bytes).await?)
    }

    async fn acknowledged(
        &mut self,
        frame: &Frame,
        command: &Command<'_>,
        mut place: usize,
        pinned: Option<u64>,
    ) -> Result<(), End> {
        let mut may_resend = true;
        let mut is_to_send = true;
        loop {
            let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
            if is_to_send {
                upstream.send(&frame.bytes).await?;
                is_to_send = false;
            }
            let answer = while_there(&mut self.client, upstream.receive()).await??;
            let reply = Message::parse(answer.payload())?;
            let outcome = Outcome::of(reply.body)?;
            if outcome.requires_authentication && command.class == Class::Closed && may_resend {
                may_resend = false;
                // Nothing ran: the server checks who asks before it does anything.
                match self.restore(place, command, pinned).await? {
                    Restored::Yes => {
                        is_to_send = true;
                        continue;
                    }
                    Restored::Elsewhere(other) => {
                        place = other;
                        self.note_sent(place, command);
                        is_to_send = true;
                        continue;
                    }
                    Restored::No(Some(instead)) => return self.answer(frame, &instead).await,
                    Restored::No(None) => {}
                }
            }
            self.note_answered(place, command, &outcome);
            self.write(&answer.bytes).await?;
            if self.has_lost_primary(&outcome) {
                return Err(End::Gone);
            }
            if !reply.has_more_to_come() {
                return Ok(());
            }
        }
    }

    /// Logs in again on the same connection, where cursors and transactions of the login live on.
    async fn restore(
        &mut self,
        place: usize,
        command: &Command<'_>,
        pinned: Option<u64>,
    ) -> Result<Restored, End> {
        let upstream = self.upstreams.get(place).ok_or(End::Gone)?;
        let (member, identity) = (Arc::clone(&upstream.member), upstream.identity.clone());
        let Some(identity) = identity else {
            return Ok(Restored::No(None));
        };
        if self.log_in_again(place, &identity).await?.is_ok() {
            self.shared.metrics.reauthenticated();
            return Ok(Restored::Yes);
        }
        if let Some(cursor) = command.cursor {
            self.shared.affinity().forget_cursor(&member, cursor);
            self.shared.metrics.mapped(43);
            return Ok(Restored::No(Some(answers::cursor_not_found(cursor))));
        }
        if command.name == "killCursors" {
            let killed = command.killed();
            for cursor in &killed {
                self.shared.affinity().forget_cursor(&member, *cursor);
            }
            self.shared.metrics.mapped(43);
            return Ok(Restored::No(Some(answers::nothing_to_kill(&killed))));
        }
        // What the old login may have begun, another must not go on with.
        if pinned.is_none()
            && let Ok(place) = self.logged_in(None, Duration::ZERO).await?
        {
            return Ok(Restored::Elsewhere(place));
        }
        Ok(Restored::No(None))
    }

    /// Waits for another password only where the login is still the newest.
    async fn log_in_again(
        &mut self,
        place: usize,
        identity: &Arc<Generation>,
    ) -> Result<Result<(), Refused>, End> {
        let deadline = Instant::now() + self.shared.settings.hold_timeout;
        let shared = Arc::clone(&self.shared);
        let mut held = None;
        loop {
            let mut changes = shared.generations.subscribe();
            let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
            if upstream.log_in(identity, &shared.keys).await?.is_ok() {
                return Ok(Ok(()));
            }
            let newest = shared.generations.newest();
            let is_newest = newest.is_some_and(|newest| newest.number == identity.number);
            let left = deadline.saturating_duration_since(Instant::now());
            if !is_newest || left.is_zero() {
                return Ok(Err(Refused));
            }
            held.get_or_insert_with(|| Counted::on(&shared.metrics.held));
            let waiting = tokio::time::timeout(left.min(super::routes::RETRY), changes.changed());
            let _ = while_there(&mut self.client, waiting).await?;
        }
    }

    fn route(&self, command: &Command<'_>) -> Option<u64> {
        if !self.shared.settings.has_affinity || command.class != Class::Closed {
            return None;
        }
        let member = self.member.as_ref();
        self.shared.affinity().route(member, command)
    }

    /// Work of a login that was replaced too long ago is ended in a way that drivers mend.
    fn overdue(&self, command: &Command<'_>, pinned: Option<u64>) -> Option<RawDocumentBuf> {
        let cursor = command.cursor?;
        let member = self.member.as_ref()?;
        let generation = self.shared.generations.kept(pinned?);
        if generation.is_some_and(|kept| !kept.is_retired_for(self.shared.settings.drain)) {
            return None;
        }
        self.shared.affinity().forget_cursor(member, cursor);
        self.shared.metrics.mapped(43);
        Some(answers::cursor_not_found(cursor))
    }

    fn note_sent(&mut self, place: usize, command: &Command<'_>) {
        if command.is_in_transaction {
            self.is_in_transaction = !command.ends_transaction();
        }
        let identity = self
            .upstreams
            .get(place)
            .and_then(|upstream| upstream.identity.as_ref());
        if let Some(identity) = identity {
            let mut affinity = self.shared.affinity();
            affinity.sent(command, identity.number, Instant::now());
        }
    }

    fn note_answered(&self, place: usize, command: &Command<'_>, outcome: &Outcome) {
        let Some(upstream) = self.upstreams.get(place) else {
            return;
        };
        if let Some(identity) = &upstream.identity {
            let (member, number) = (&upstream.member, identity.number);
            let mut affinity = self.shared.affinity();
            affinity.answered(member, command, outcome, number, Instant::now());
        }
    }
}
