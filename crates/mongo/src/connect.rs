//! Opens clients: the one place that makes options of the driver, and so one of the few where a
//! password is a plain text for the length of a line.
//! Options are never formatted. A client connects when it is first used, and finds the other
//! members of its replica set by itself, unless it is told to speak to one member only.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use engine::{
    address::{Address, SslMode},
    dsn::Dsn,
    timeouts::Timeouts,
};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, ServerAddress, Tls, TlsOptions},
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::error::{Kind, confirmed};

/// How long an unused connection of a pool is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A client, and what it reads when it makes a connection.
pub(crate) struct Connection {
    client: Client,
    /// The file that [`ClientOptions`] name; the driver takes certificates from files only.
    _ca: Option<Arc<OwnedFd>>,
}

/// What a client is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// An admin's work, over so many connections to each member.
    Work { connections: u32 },
    /// A login as an application would make it.
    Proof,
}

/// Options of a DSN as its own text says them; for `mongodb+srv` DNS is asked.
#[derive(Clone)]
pub(crate) struct Options {
    options: ClientOptions,
    ca: Option<Arc<OwnedFd>>,
}

impl Options {
    pub(crate) async fn of(dsn: &Dsn, purpose: Purpose, timeouts: Timeouts) -> Result<Self, Kind> {
        let uri = understood(dsn).uri();
        let parse = async { ClientOptions::parse(uri.expose_secret()).await };
        let mut options = match timeout(timeouts.connect, parse).await {
            Ok(options) => options?,
            Err(_) => return Err(Kind::TimedOut(timeouts.connect)),
        };
        let (tls, ca) = tls(&dsn.address)?;
        options.tls = Some(tls);
        options.connect_timeout = Some(timeouts.connect);
        options.server_selection_timeout = Some(timeouts.connect);
        options.max_idle_time = Some(IDLE);
        options
            .app_name
            .get_or_insert_with(|| "db-controller".to_owned());
        options.min_pool_size = None;
        options.max_pool_size = Some(match purpose {
            Purpose::Work { connections } => connections,
            Purpose::Proof => 1,
        });
        Ok(Self { options, ca })
    }

    /// The same login at one member, whatever else it belongs to.
    pub(crate) fn direct(&self, member: &str) -> Result<Self, Kind> {
        let from = &self.options;
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::parse(member)?])
            .direct_connection(true)
            .credential(from.credential.clone())
            .app_name(from.app_name.clone())
            .tls(from.tls.clone())
            .connect_timeout(from.connect_timeout)
            .server_selection_timeout(from.server_selection_timeout)
            .max_pool_size(from.max_pool_size)
            .build();
        // The descriptor's number is part of the options, so it must not be another one.
        let ca = self.ca.clone();
        Ok(Self { options, ca })
    }

    /// A client that says who it is to nobody.
    pub(crate) fn anonymous(mut self) -> Self {
        self.options.credential = None;
        self
    }

    pub(crate) fn open(self) -> Result<Connection, Kind> {
        let Self { options, ca } = self;
        Ok(Connection {
            client: Client::with_options(options)?,
            _ca: ca,
        })
    }
}

impl Connection {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// One command, bounded on this side.
    pub(crate) async fn run(
        &self,
        database: &str,
        command: Document,
        limit: Duration,
    ) -> Result<Document, Kind> {
        let database = self.client.database(database);
        match timeout(limit, async { database.run_command(command).await }).await {
            Ok(answer) => confirmed(answer?),
            Err(_) => Err(Kind::TimedOut(limit)),
        }
    }

    /// Who is logged in on one connection of the pool, and with which roles.
    pub(crate) async fn status(&self, limit: Duration) -> Result<Document, Kind> {
        let answer = self
            .run("admin", doc! { "connectionStatus": 1 }, limit)
            .await?;
        let status = answer.get_document("authInfo");
        status
            .cloned()
            .map_err(|_| Kind::Answer("connectionStatus says nothing of logins".to_owned()))
    }

    /// Closes all connections, so that no idle one is taken for an application's.
    pub(crate) async fn close(self, limit: Duration) {
        // Politeness only: a server that does not answer loses them anyway.
        let _ = timeout(limit, self.client.shutdown().immediate(true)).await;
    }
}

/// The DSN in words that the driver knows: with rustls it can't do without the host's name, which
/// is more than `verify-ca` asks for.
fn understood(dsn: &Dsn) -> Dsn {
    let mut dsn = dsn.clone();
    if dsn.address.ssl_mode == SslMode::VerifyCa {
        dsn.address.ssl_mode = SslMode::VerifyFull;
    }
    dsn
}

fn unreadable(_: std::io::Error) -> Kind {
    Kind::Tls("no file can be made for its CA certificates".to_owned())
}

/// What the mode asks of a certificate. The driver verifies names wherever it verifies at all.
fn tls(address: &Address) -> Result<(Tls, Option<Arc<OwnedFd>>), Kind> {
    let mut options = TlsOptions::default();
    match address.ssl_mode {
        SslMode::Disable => return Ok((Tls::Disabled, None)),
        SslMode::Allow | SslMode::Prefer | SslMode::Require => {
            options.allow_invalid_certificates = Some(true);
        }
        SslMode::VerifyCa | SslMode::VerifyFull => {}
    }
    let ca = address.ca.as_ref().map(|pem| in_memory(pem)).transpose();
    let ca = ca.map_err(unreadable)?.map(Arc::new);
    options.ca_file_path = ca.as_ref().map(|file| path_of(file));
    Ok((Tls::Enabled(options), ca))
}

/// A file without a name: the root file system may be read-only, and a temporary folder shared.
fn in_memory(text: &str) -> std::io::Result<OwnedFd> {
    let file = memfd_create("ca.crt", MFdFlags::MFD_CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(text.as_bytes())?;
    Ok(file.into())
}

fn path_of(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// A number that tells passwords apart within this process and says nothing outside of it.
pub(crate) fn fingerprint(dsn: &Dsn, key: &RandomState) -> u64 {
    key.hash_one(dsn.credential.password.expose_secret())
}
