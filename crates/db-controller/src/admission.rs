//! Wiring of the webhook: flags become its settings, the directory of claims answers its questions.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use controller::{Directory, Gate};
use kube::Client;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use webhook::{
    certificate::{
        store::Registrations,
        upkeep::{Own, Source},
    },
    known::{Engine, Known, Published},
    metrics::Reviews,
    serve::{self, Webhook},
    settings::{self, Form, Settings, UnknownClaim},
};

/// The API server goes on calling for a moment after a pod was told to end: the other replicas
/// must be known as the only ones before this one refuses connections.
const LAME_DUCK: Duration = Duration::from_secs(5);

/// Flags of the webhook and of the sidecars that it injects.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// Address of the webhook, such as :9443; 0 is off.
    #[arg(long, default_value = "0")]
    pub webhook_bind_address: String,
    /// The Service under which the API server calls. The certificate's Secret is called after it,
    /// with -webhook behind it, and so are the registrations, with -mutation-cfg and -validation-cfg.
    #[arg(long, default_value = "db-controller")]
    pub webhook_name: String,
    /// Folder with tls.crt and tls.key. Without it the controller makes its own certificate.
    #[arg(long)]
    pub webhook_cert_dir: Option<PathBuf>,
    /// Pods whose claim is not known: refuse, or inject and let the pod wait for the Secret.
    #[arg(long, default_value = "refuse")]
    pub unknown_claim: UnknownClaim,
    /// native, or plain for clusters before Kubernetes 1.29.
    #[arg(long, default_value = "native")]
    pub sidecar_form: Form,
    /// A default of dbproxy, as the annotation of that name sets it for one pod: pool-mode=session.
    #[arg(long = "dbproxy", value_name = "KEY=VALUE")]
    pub dbproxy: Vec<Setting>,
    /// A default of dsnexec: log-level=debug.
    #[arg(long = "dsnexec", value_name = "KEY=VALUE")]
    pub dsnexec: Vec<Setting>,
}

/// One default of a sidecar.
#[derive(Debug, Clone)]
pub struct Setting {
    key: String,
    value: String,
}

#[derive(Debug, thiserror::Error)]
#[error("write KEY=VALUE")]
pub struct NoPair;

impl FromStr for Setting {
    type Err = NoPair;

    fn from_str(text: &str) -> Result<Self, NoPair> {
        let (key, value) = text.split_once('=').ok_or(NoPair)?;
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl WebhookArgs {
    /// Errors: an image that is not given, or a default that no sidecar takes.
    fn settings(&self, class: &str, probes: settings::Probes) -> anyhow::Result<Settings> {
        let image = |variable: &str| {
            let image = std::env::var(variable)
                .ok()
                .filter(|image| !image.is_empty());
            image.with_context(|| format!("the webhook needs an image in {variable}"))
        };
        let mut settings = Settings::new(class, &image("DBPROXY_IMAGE")?, &image("DSNEXEC_IMAGE")?);
        settings.form = self.sidecar_form;
        settings.unknown_claim = self.unknown_claim;
        settings.probes = probes;
        let what = |flag: &str, Setting { key, value }: &Setting| format!("--{flag} {key}={value}");
        for setting in &self.dbproxy {
            let taken = settings.dbproxy.set(&setting.key, &setting.value);
            taken.with_context(|| what("dbproxy", setting))?;
        }
        for setting in &self.dsnexec {
            let taken = settings.dsnexec.set(&setting.key, &setting.value);
            taken.with_context(|| what("dsnexec", setting))?;
        }
        Ok(settings)
    }
}

/// The server, before it serves.
pub(crate) struct Server {
    listener: TcpListener,
    settings: Settings,
    source: Source,
    directory: Arc<Directory>,
    reviews: Reviews,
}

impl Server {
    /// Checks all that can be checked without the API server.
    pub(crate) fn new(
        listener: TcpListener,
        args: &crate::Args,
        namespace: &str,
        client: Client,
    ) -> anyhow::Result<Self> {
        let name = &args.webhook.webhook_name;
        let source = match &args.webhook.webhook_cert_dir {
            Some(folder) => Source::Given(folder.clone()),
            None => Source::Own(Own {
                client,
                namespace: namespace.to_owned(),
                secret: format!("{name}-webhook"),
                names: vec![
                    format!("{name}.{namespace}.svc"),
                    format!("{name}.{namespace}.svc.cluster.local"),
                ],
                registrations: Registrations {
                    mutating: format!("{name}-mutation-cfg"),
                    validating: format!("{name}-validation-cfg"),
                },
            }),
        };
        Ok(Self {
            listener,
            settings: args.webhook.settings(&args.class, args.sidecar_probes())?,
            source,
            directory: Arc::new(Directory::new(&args.watch_namespaces)),
            reviews: Reviews::new()?,
        })
    }

    /// What it measures.
    pub(crate) fn reviews(&self) -> &Reviews {
        &self.reviews
    }

    /// Serves from the moment when all claims are known and a certificate is there, which opens the
    /// gate, until the token ends. Ends the token itself if it fails.
    pub(crate) async fn serve(
        self,
        client: &Client,
        gate: &Gate,
        token: &CancellationToken,
    ) -> Result<(), serve::Error> {
        let directory = Arc::clone(&self.directory);
        let (served, ()) = tokio::join!(self.answer(gate, token), directory.follow(client, token));
        served
    }

    async fn answer(self, gate: &Gate, token: &CancellationToken) -> Result<(), serve::Error> {
        let Self {
            listener,
            settings,
            source,
            directory,
            reviews,
        } = self;
        let Some(presented) = source.first(token).await else {
            return Ok(());
        };
        if token
            .run_until_cancelled(directory.is_whole())
            .await
            .is_none()
        {
            return Ok(());
        }
        let known = Claims {
            class: settings.class.clone(),
            directory,
        };
        let router = serve::router(Webhook {
            settings: Arc::new(settings),
            known: Arc::new(known),
            reviews,
        });
        let refusing = CancellationToken::new();
        gate.open();
        tracing::info!("the webhook serves");
        let serving = async {
            let served = serve::run(listener, router, &presented, refusing.clone()).await;
            // A server that failed ends the process, and with it what runs beside.
            token.cancel();
            refusing.cancel();
            served
        };
        let leaving = async {
            token.cancelled().await;
            refusing
                .run_until_cancelled(tokio::time::sleep(LAME_DUCK))
                .await;
            refusing.cancel();
        };
        let following = source.follow(&presented, token);
        let (served, (), ()) = tokio::join!(serving, following, leaving);
        served
    }
}

/// What the directory knows, as the webhook asks for it.
struct Claims {
    directory: Arc<Directory>,
    class: String,
}

impl Known for Claims {
    fn published(&self, ns: &str, claim: &str) -> Option<Published> {
        let (secret, engine) = self.directory.published(ns, claim)?;
        let engine = match engine {
            controller::Engine::Postgres => Engine::Postgres,
            controller::Engine::Mongo => Engine::Mongo,
        };
        Some(Published { secret, engine })
    }

    fn claim_of(&self, ns: &str, secret: &str) -> Option<String> {
        self.directory.claim_of(ns, secret, &self.class)
    }

    fn is_terminating(&self, ns: &str) -> bool {
        self.directory.is_leaving(ns)
    }

    fn news(&self) -> watch::Receiver<()> {
        self.directory.news()
    }
}
