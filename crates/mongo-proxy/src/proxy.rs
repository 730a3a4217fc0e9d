//! The running proxy: follows the credential, listens, and ends in order.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotload::follow::{self, follow};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::affinity::Affinity;
use crate::budget::Budget;
use crate::credential::{Credential, Generations, Malformed, Place};
use crate::hello::Role;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::scram::KeyCache;
use crate::srv;
use crate::topology::{Bound, Topology};
use crate::upstream::{Connector, TlsError, Upstream};

/// How the proxy behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file in the mounted Secret that holds the `mongodb://` URI.
    pub credential: PathBuf,
    /// Of the servers' certificates; where the file is missing, the public ones are trusted.
    pub authority: PathBuf,
    /// On loopback. Members of a set get the ports behind it, or any that are free.
    pub listen_port: u16,
    /// How long a command waits for a credential that the server takes.
    pub hold_timeout: Duration,
    /// How long work of an older login, or at the end of the proxy, may go on.
    pub drain: Duration,
    /// Whether commands stay with the login that began them. Off only to show what it is for.
    pub has_affinity: bool,
    pub follow: follow::Options,
    /// What the requests and answers under way may take together, in bytes.
    pub frame_memory: usize,
    /// Who knows the hosts of a `mongodb+srv://` URI; None for the system's name servers.
    pub nameserver: Option<SocketAddr>,
}

/// Beside the URI in the mounted Secret, where the server's certificate is of no public authority.
const AUTHORITY: &str = "ca.crt";

impl Settings {
    pub fn new(credential: impl Into<PathBuf>, listen_port: u16) -> Self {
        let credential = credential.into();
        Self {
            authority: credential.with_file_name(AUTHORITY),
            credential,
            listen_port,
            hold_timeout: Duration::from_mins(2),
            drain: Duration::from_mins(5),
            has_affinity: true,
            follow: follow::Options::default(),
            frame_memory: 256 << 20,
            nameserver: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on 127.0.0.1:{0}")]
    Listen(u16, #[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) generations: Generations,
    pub(crate) topology: Topology,
    pub(crate) keys: KeyCache,
    pub(crate) budget: Budget,
    /// For salts.
    pub(crate) seed: [u8; 32],
    /// No new work.
    pub(crate) closing: CancellationToken,
    /// Nothing any more.
    pub(crate) end: CancellationToken,
    affinity: Mutex<Affinity>,
    servers: Mutex<Servers>,
    tasks: TaskTracker,
}

/// Where to connect to, by the newest credential.
#[derive(Clone)]
struct Servers {
    /// The one that answered last comes first.
    hosts: Vec<Arc<str>>,
    /// None as long as there is no credential.
    connector: Option<Arc<Connector>>,
}

/// A proxy that runs until it is [shut down](Proxy::shut_down).
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// Listens at once; applications wait until the credential is there.
    pub async fn start(mut settings: Settings, metrics: Metrics) -> Result<Self, Error> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.listen_port)).await;
        let failed = |err| Error::Listen(settings.listen_port, err);
        let listener = bound.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        settings.listen_port = port;
        let mut seed = [0; 32];
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed);
        let shared = Arc::new(Shared {
            topology: Topology::new(port),
            budget: Budget::new(settings.frame_memory),
            settings,
            metrics,
            generations: Generations::default(),
            keys: KeyCache::default(),
            seed,
            closing: CancellationToken::new(),
            end: CancellationToken::new(),
            affinity: Mutex::default(),
            servers: Mutex::new(Servers {
                hosts: Vec::new(),
                connector: None,
            }),
            tasks: TaskTracker::new(),
        });
        shared.follow();
        shared.listen(listener, None, CancellationToken::new());
        Ok(Self { shared, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the newest credential logs in at a server.
    pub async fn is_ready(&self) -> bool {
        let Some(newest) = self.shared.generations.newest() else {
            return false;
        };
        let attempt = async {
            let mut upstream = self.shared.open(None).await.ok()?;
            upstream.log_in(&newest, &self.shared.keys).await.ok()?.ok()
        };
        let attempt = tokio::time::timeout(Duration::from_secs(5), attempt).await;
        matches!(attempt, Ok(Some(()))) && !self.shared.closing.is_cancelled()
    }

    /// Whether that is the credential of new logins, and a server has taken it.
    pub fn uses(&self, uri: &SecretString) -> bool {
        let newest = self.shared.generations.newest();
        let newest = newest.zip(Credential::parse(uri).ok());
        newest.is_some_and(|(newest, credential)| newest.has_proven(&credential))
    }

    /// Takes no new connections, lets transactions end, and closes.
    pub async fn shut_down(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        let drained = tokio::time::timeout(self.shared.settings.drain, self.shared.tasks.wait());
        if drained.await.is_err() {
            self.shared.end.cancel();
            self.shared.tasks.wait().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        self.shared.end.cancel();
    }
}

impl Shared {
    pub(crate) fn affinity(&self) -> MutexGuard<'_, Affinity> {
        lock(&self.affinity)
    }

    /// Connects to `member`, or to whichever server answers first in the URI's order.
    pub(crate) async fn open(
        &self,
        member: Option<&Arc<str>>,
    ) -> Result<Upstream, crate::upstream::Error> {
        let Servers { hosts, connector } = lock(&self.servers).clone();
        let none = io::Error::new(io::ErrorKind::NotConnected, "there is no credential yet");
        let mut failure = crate::upstream::Error::Broken(none);
        let Some(connector) = connector else {
            return Err(failure);
        };
        if let Some(member) = member {
            return Upstream::open(member, &connector, &self.budget.answers, &self.metrics).await;
        }
        for host in &hosts {
            match Upstream::open(host, &connector, &self.budget.answers, &self.metrics).await {
                Ok(upstream) => {
                    self.prefer(host);
                    return Ok(upstream);
                }
                Err(err) => failure = err,
            }
        }
        Err(failure)
    }

    fn prefer(&self, host: &Arc<str>) {
        let mut servers = lock(&self.servers);
        if let Some(place) = servers.hosts.iter().position(|known| known == host) {
            servers.hosts.rotate_left(place);
        }
    }

    /// Listens for members that are not known yet, before a driver hears of them; no longer for
    /// those that a primary does not name.
    pub(crate) fn learn(self: &Arc<Self>, members: &[String], role: &Role<'_>) {
        if *role == Role::Primary {
            self.topology.keep(members);
        }
        match self.topology.bind(members) {
            Ok(bound) => {
                for Bound {
                    member,
                    listener,
                    end,
                } in bound
                {
                    self.listen(listener, Some(member), end);
                }
            }
            Err(err) => tracing::warn!(error = %err, "no port for a member of the set"),
        }
    }

    fn listen(
        self: &Arc<Self>,
        listener: TcpListener,
        member: Option<Arc<str>>,
        end: CancellationToken,
    ) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return,
                    () = end.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((socket, _)) => {
                        let relay = Relay::new(Arc::clone(&shared), socket, member.clone());
                        shared.tasks.spawn(relay.run());
                    }
                    // Out of descriptors, for example: that passes.
                    Err(err) => {
                        tracing::warn!(error = %err, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }

    fn follow(self: &Arc<Self>) {
        let authority = self.settings.authority.clone();
        let validate = move |uri: &SecretString| {
            let credential = Credential::parse(uri)?;
            let connector = Connector::new(credential.trust, authority.clone())?;
            Ok::<_, Unusable>((credential, Arc::new(connector)))
        };
        let options = self.settings.follow.clone();
        let (follower, mut watch) = follow(&self.settings.credential, options, validate);
        self.tasks.spawn(follower.run(self.end.clone()));
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut name = None;
            loop {
                let next = tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return,
                    next = watch.next() => next,
                    () = due(name.as_ref()) => {
                        shared.look_up(name.as_mut()).await;
                        continue;
                    }
                };
                let Ok(version) = next else { return };
                let (credential, connector) = &version.value;
                name = shared.install(credential, Arc::clone(connector));
                shared.look_up(name.as_mut()).await;
            }
        });
    }

    /// Returns the name that stands for the servers, where one does.
    fn install(&self, credential: &Credential, connector: Arc<Connector>) -> Option<srv::Name> {
        let name = match &credential.place {
            Place::Hosts(hosts) => {
                self.point_at(hosts);
                None
            }
            // The hosts that are known serve until the name was looked up.
            Place::Name(name) => {
                let name = srv::Name::new(name, self.settings.nameserver);
                name.inspect_err(complain).ok()
            }
        };
        lock(&self.servers).connector = Some(connector);
        self.generations.install(credential);
        if let Some(newest) = self.generations.newest() {
            let number = i64::try_from(newest.number).unwrap_or(i64::MAX);
            self.metrics.generation.set(number);
            tracing::info!(
                generation = newest.number,
                login = newest.login,
                "credential loaded"
            );
        }
        name
    }

    /// In this order, unless these hosts are known and another one answered last.
    fn point_at(&self, hosts: &[String]) {
        let mut servers = lock(&self.servers);
        let is_known = |host: &String| servers.hosts.iter().any(|known| **known == **host);
        if hosts.len() != servers.hosts.len() || !hosts.iter().all(is_known) {
            let hosts = hosts.iter().map(|host| Arc::from(host.as_str()));
            servers.hosts = hosts.collect();
        }
    }

    async fn look_up(&self, name: Option<&mut srv::Name>) {
        let Some(name) = name else { return };
        match name.hosts().await {
            Ok(hosts) => self.point_at(&hosts),
            Err(err) => complain(&err),
        }
    }
}

/// When a name is to be looked up again.
async fn due(name: Option<&srv::Name>) {
    match name {
        Some(name) => tokio::time::sleep_until(name.due).await,
        None => std::future::pending().await,
    }
}

fn complain(err: &srv::Error) {
    let source = std::error::Error::source(err).map(ToString::to_string);
    tracing::warn!(error = %err, source, "where the servers are is not known anew");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
