//! How sidecars are injected: the install's settings, and one table for what may be tuned, by
//! annotation of a pod and by value of the chart alike.

mod amount;
mod tune;

pub use amount::Amount;
pub use tune::Error;

/// Settings of one install.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Pods with another class in their label, or none, are left alone.
    pub class: String,
    pub form: Form,
    pub unknown_claim: UnknownClaim,
    pub probes: Probes,
    /// User and group of the sidecars; `None` leaves them to the image and the cluster.
    pub run_as: Option<i64>,
    pub dbproxy: Dbproxy,
    pub dsnexec: Dsnexec,
}

/// What a sidecar is to the kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Form {
    /// An init container with `restartPolicy: Always`: started first, and Jobs end. Kubernetes 1.29.
    Native,
    /// A container like any other, in older clusters.
    Plain,
}

/// What happens to a pod whose claim is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum UnknownClaim {
    Refuse,
    /// The claim's name is taken for the Secret's, and the pod waits until that exists.
    Inject,
}

/// Which probes the sidecars get beside the startup probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    pub readiness: bool,
    pub liveness: bool,
}

/// What both sidecars have.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    pub image: String,
    /// Where `/healthz`, `/readyz` and `/metrics` are, on the pod's address.
    pub health_port: u16,
    pub log_level: LogLevel,
    pub resources: Resources,
}

/// Requests and limits; `None` sets nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    pub cpu_request: Option<Amount>,
    pub memory_request: Option<Amount>,
    pub cpu_limit: Option<Amount>,
    pub memory_limit: Option<Amount>,
}

/// Settings of the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Dbproxy {
    pub common: Common,
    /// Where the application connects, on loopback; `None` is the engine's usual port.
    pub port: Option<u16>,
    /// The key of the Secret that is followed.
    pub dsn_key: String,
    pub pool_mode: PoolMode,
    /// Connections to the server; `None` leaves it to the proxy.
    pub pool_size: Option<u16>,
    /// Connections of the application; `None` leaves it to the proxy.
    pub max_clients: Option<u16>,
}

/// Settings of the executor.
#[derive(Debug, Clone, PartialEq)]
pub struct Dsnexec {
    pub common: Common,
}

/// When a connection to the server goes back to the pool.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "lowercase")]
pub enum PoolMode {
    Transaction,
    Session,
}

/// How much a sidecar logs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Settings {
    /// What an install has that sets nothing but its class and the images.
    pub fn new(class: &str, dbproxy_image: &str, dsnexec_image: &str) -> Self {
        Self {
            class: class.to_owned(),
            form: Form::Native,
            unknown_claim: UnknownClaim::Refuse,
            probes: Probes {
                readiness: true,
                liveness: false,
            },
            run_as: Some(65532),
            dbproxy: Dbproxy {
                common: Common::new(dbproxy_image, 9127),
                port: None,
                dsn_key: api::names::secret_key::URI_DSN.to_owned(),
                pool_mode: PoolMode::Transaction,
                pool_size: None,
                max_clients: None,
            },
            dsnexec: Dsnexec {
                common: Common::new(dsnexec_image, 9128),
            },
        }
    }
}

impl Common {
    fn new(image: &str, health_port: u16) -> Self {
        Self {
            image: image.to_owned(),
            health_port,
            log_level: LogLevel::Info,
            resources: Resources {
                cpu_request: Amount::new("10m"),
                memory_request: Amount::new("32Mi"),
                cpu_limit: None,
                memory_limit: Amount::new("128Mi"),
            },
        }
    }
}
