//! One connection of an application, and the one or two to the server that stand behind it.
//!
//! Two only while work of an older login is open. Every command is forwarded as it came; what the
//! server says of logins stays here. A failed server connection ends the application's too: its
//! driver knows better than we what to do then.

mod forward;
mod greeting;
mod routes;
mod seek;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bson::raw::{RawDocument, RawDocumentBuf};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use self::seek::Aim;
use crate::answers;
use crate::command::{Class, Command};
use crate::metrics::Counted;
use crate::proxy::Shared;
use crate::upstream::{self, Upstream};
use crate::visitor::Visitor;
use crate::wire::{self, Frame, Message, OP_MSG, OP_QUERY, encode_message};

/// How often an idle connection looks whether its older login is still needed.
const TICK: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the application has gone")]
    Gone,
    #[error("the proxy ends")]
    Closing,
    #[error("the application sent what no server takes")]
    Wire(#[from] wire::Error),
    #[error("opcode {0} is not spoken")]
    OpCode(i32),
    #[error("the application's connection failed")]
    Client(#[from] io::Error),
    #[error("the server's connection failed")]
    Upstream(#[from] upstream::Error),
}

pub(crate) struct Relay {
    shared: Arc<Shared>,
    client: BufReader<TcpStream>,
    /// Fixed from the first connection on.
    member: Option<Arc<str>>,
    aim: Aim,
    /// In the order in which they were opened.
    upstreams: Vec<Upstream>,
    /// What the driver said of itself.
    metadata: Option<RawDocumentBuf>,
    visitor: Visitor,
    is_in_transaction: bool,
    answers: i32,
    _counted: Counted,
}

impl Relay {
    pub(crate) fn new(shared: Arc<Shared>, socket: TcpStream, member: Option<Arc<str>>) -> Self {
        let counted = Counted::on(&shared.metrics.clients);
        let aim = match &member {
            Some(_) => Aim::Member,
            None => Aim::Primary,
        };
        Self {
            shared,
            client: BufReader::with_capacity(16 * 1024, socket),
            member,
            aim,
            upstreams: Vec::new(),
            metadata: None,
            visitor: Visitor::default(),
            is_in_transaction: false,
            answers: 0,
            _counted: counted,
        }
    }

    pub(crate) async fn run(mut self) {
        let _ = self.client.get_ref().set_nodelay(true);
        let shared = Arc::clone(&self.shared);
        let ended = tokio::select! {
            biased;
            () = shared.end.cancelled() => Err(End::Closing),
            ended = self.serve() => ended,
        };
        if let Err(err) = ended {
            let source = std::error::Error::source(&err).map(ToString::to_string);
            tracing::debug!(error = %err, source, "a connection has ended");
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        loop {
            self.wait_for_request().await?;
            let frame = Frame::read(&mut self.client, &self.shared.budget.requests).await?;
            match frame.header.op_code {
                OP_MSG => Box::pin(self.message(&frame)).await?,
                OP_QUERY => Box::pin(self.query(&frame)).await?,
                other => return Err(End::OpCode(other)),
            }
        }
    }

    /// Returns when there is something to read; minds the servers' connections meanwhile.
    async fn wait_for_request(&mut self) -> Result<(), End> {
        loop {
            self.let_go();
            let is_draining = self.is_draining();
            let last = self.upstreams.last_mut();
            let broken = async {
                match last {
                    Some(upstream) => upstream.closed().await,
                    None => std::future::pending().await,
                }
            };
            let mut changes = self.shared.generations.subscribe();
            tokio::select! {
                biased;
                () = self.shared.closing.cancelled(), if !self.is_in_transaction => {
                    return Err(End::Closing);
                }
                read = self.client.fill_buf() => {
                    return if read?.is_empty() { Err(End::Gone) } else { Ok(()) };
                }
                () = broken => return Err(End::Gone),
                _ = changes.changed() => {}
                () = tokio::time::sleep(TICK), if is_draining => {}
            }
        }
    }

    async fn message(&mut self, frame: &Frame) -> Result<(), End> {
        let message = Message::parse(frame.payload())?;
        let command = Command::of(message.body)?;
        match command.class {
            Class::Login => {
                let answer = self.welcome(command.name, message.body).await;
                self.answer(frame, &answer).await
            }
            Class::Hello => self.hello(frame, &message).await,
            Class::Open | Class::Ending | Class::Closed => {
                self.forward(frame, &message, &command).await
            }
        }
    }

    async fn welcome(&mut self, name: &str, body: &RawDocument) -> RawDocumentBuf {
        let Shared {
            generations,
            keys,
            seed,
            ..
        } = &*self.shared;
        self.visitor
            .answer(name, body, generations, keys, seed)
            .await
    }

    async fn query(&mut self, frame: &Frame) -> Result<(), End> {
        let query = wire::Query::parse(frame.payload())?;
        let command = Command::of(query.body)?;
        if command.class == Class::Hello {
            return self.legacy_hello(frame, &query).await;
        }
        let answer = answers::unsupported_query();
        let id = self.next_id();
        let bytes = wire::encode_reply(id, frame.header.request_id, &answer);
        self.write(&bytes).await
    }

    /// Answers in place of the server.
    async fn answer(&mut self, frame: &Frame, body: &RawDocument) -> Result<(), End> {
        let id = self.next_id();
        let bytes = encode_message(id, frame.header.request_id, 0, body);
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        Ok(self.client.get_mut().write_all(bytes).await?)
    }

    fn next_id(&mut self) -> i32 {
        self.answers = self.answers.wrapping_add(1);
        self.answers
    }
}

/// Runs `work` unless the application goes away meanwhile.
async fn while_there<T>(
    client: &mut BufReader<TcpStream>,
    work: impl Future<Output = T>,
) -> Result<T, End> {
    let mut work = std::pin::pin!(work);
    let gone = async {
        match client.fill_buf().await {
            // It has sent the next request already: that waits.
            Ok(bytes) if !bytes.is_empty() => std::future::pending().await,
            Ok(_) | Err(_) => {}
        }
    };
    tokio::select! {
        biased;
        done = &mut work => Ok(done),
        () = gone => Err(End::Gone),
    }
}
