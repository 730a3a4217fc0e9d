//! One connection to a server: opened, greeted, logged in, and spoken to one command at a time.

mod login;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use bson::raw::{RawDocument, RawDocumentBuf, cstr};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::budget::Room;
use crate::credential::Generation;
use crate::metrics::{Counted, Metrics};
use crate::wire::{self, Frame, Message, encode_message};

pub(crate) use login::Refused;
pub(crate) use tls::{Connector, Error as TlsError};

const CONNECT: Duration = Duration::from_secs(5);
/// For a command of our own.
const ANSWER: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot reach {0}")]
    Connect(Arc<str>, #[source] std::io::Error),
    #[error("{0} does not answer")]
    Silent(Arc<str>),
    #[error("the connection to the server failed")]
    Broken(#[from] std::io::Error),
    #[error("the server's message is malformed")]
    Wire(#[from] wire::Error),
    #[error("a login was interrupted")]
    Interrupted,
    #[error("cannot log in")]
    Scram(#[from] crate::scram::Error),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Upstream {
    pub(crate) member: Arc<str>,
    /// Who it is logged in as.
    pub(crate) identity: Option<Arc<Generation>>,
    pub(crate) last_answer: Instant,
    /// Whether the driver's metadata was sent: a second time is an error.
    pub(crate) is_greeted: bool,
    stream: BufReader<Box<dyn Stream>>,
    answers: Room,
    _counted: Counted,
}

/// Numbers of our own requests; servers only echo them.
static REQUESTS: AtomicI32 = AtomicI32::new(1 << 30);

impl Upstream {
    pub(crate) async fn open(
        member: &Arc<str>,
        connector: &Connector,
        answers: &Room,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let failed = |err| Error::Connect(Arc::clone(member), err);
        let opened = timeout(CONNECT, async {
            let socket = TcpStream::connect(&**member).await?;
            socket.set_nodelay(true)?;
            Ok(match connector.wrap(member, socket).await? {
                Ok(encrypted) => Box::new(encrypted) as Box<dyn Stream>,
                Err(plain) => Box::new(plain),
            })
        });
        let stream = opened
            .await
            .map_err(|_| Error::Silent(Arc::clone(member)))?;
        Ok(Self {
            member: Arc::clone(member),
            identity: None,
            last_answer: Instant::now(),
            is_greeted: false,
            stream: BufReader::with_capacity(16 * 1024, stream.map_err(failed)?),
            answers: answers.clone(),
            _counted: Counted::on(&metrics.upstreams),
        })
    }

    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.identity
            .as_ref()
            .is_some_and(|identity| identity.number == generation)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await?;
        Ok(stream.flush().await?)
    }

    pub(crate) async fn receive(&mut self) -> Result<Frame, Error> {
        let frame = Frame::read(&mut self.stream, &self.answers).await?;
        self.last_answer = Instant::now();
        Ok(frame)
    }

    /// Ends when the server ends the connection, or says something unasked.
    pub(crate) async fn closed(&mut self) {
        let _ = self.stream.fill_buf().await;
    }

    /// Runs a command of our own.
    pub(crate) async fn call(&mut self, body: &RawDocument) -> Result<RawDocumentBuf, Error> {
        let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
        self.send(&encode_message(id, 0, 0, body)).await?;
        let frame = timeout(ANSWER, self.receive()).await;
        let frame = frame.map_err(|_| Error::Silent(Arc::clone(&self.member)))??;
        Ok(Message::parse(frame.payload())?.body.to_owned())
    }

    /// Introduces the driver, with what it said of itself.
    pub(crate) async fn greet(&mut self, metadata: Option<&RawDocument>) -> Result<(), Error> {
        if self.is_greeted {
            return Ok(());
        }
        let mut hello = RawDocumentBuf::new();
        hello.append(cstr!("hello"), 1);
        if let Some(metadata) = metadata {
            hello.append(cstr!("client"), metadata);
        }
        hello.append(cstr!("$db"), "admin");
        self.call(&hello).await?;
        self.is_greeted = true;
        Ok(())
    }

    /// Whether the server has forgotten who we are.
    pub(crate) async fn is_forgotten(&mut self) -> Result<bool, Error> {
        let status = bson::rawdoc! { "connectionStatus": 1, "$db": "admin" };
        let answer = self.call(&status).await?;
        let info = answer.get_document("authInfo").map_err(wire_error)?;
        let logins = info.get_array("authenticatedUsers").map_err(wire_error)?;
        Ok(logins.into_iter().next().is_none())
    }
}

fn wire_error(_: bson::error::Error) -> Error {
    Error::Wire(wire::Error::Body)
}
