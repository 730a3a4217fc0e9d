//! What is needed to start the same mongod again.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Result;
use mongodb::bson::doc;

use super::{Shape, client, run};
use crate::assets;
use crate::pki::Authority;
use crate::process::{Process, ProcessBuilder, Workdir};

/// Server parameters of every mongod here.
const PARAMETERS: [&str; 2] = [
    "diagnosticDataCollectionEnabled=false",
    "shutdownTimeoutMillisForSignaledShutdown=1000",
];

/// How servers are to be.
#[derive(Default)]
pub struct Options<'a> {
    /// Connections may be plain, or encrypted under a certificate of it.
    pub authority: Option<&'a Authority>,
    /// Server parameters besides the usual, each `name=value`.
    pub parameters: &'a [&'a str],
}

pub(super) struct Launch {
    workdir: Arc<Workdir>,
    args: Vec<OsString>,
}

impl Launch {
    pub(super) fn new(shape: Shape, options: &Options<'_>) -> Result<Self> {
        let workdir = Workdir::new("mongod")?;
        let key_file = workdir.write("keyfile", "c2hhcmVkIGJ5IGFsbCBtZW1iZXJz")?;
        let data = workdir.join("data");
        std::fs::create_dir_all(&data)?;
        let plain = ["--bind_ip", "127.0.0.1", "--nounixsocket", "--auth"];
        let mut args: Vec<OsString> = plain.map(OsString::from).into();
        args.extend(["--wiredTigerCacheSizeGB", "0.25"].map(OsString::from));
        for parameter in PARAMETERS.iter().chain(options.parameters) {
            args.extend(["--setParameter", parameter].map(OsString::from));
        }
        args.extend(["--keyFile".into(), key_file.into()]);
        args.extend(["--dbpath".into(), data.into()]);
        if shape != Shape::Standalone {
            args.extend(["--replSet", "rs0"].map(OsString::from));
        }
        if let Some(authority) = options.authority {
            let leaf = authority.issue(&[])?;
            let pair = format!("{}{}", leaf.certificate, leaf.key);
            let pair = workdir.write("server.pem", &pair)?;
            let ca = workdir.write("ca.pem", &authority.pem())?;
            args.extend(["--tlsMode".into(), "preferTLS".into()]);
            args.push("--tlsAllowConnectionsWithoutCertificates".into());
            args.extend(["--tlsCertificateKeyFile".into(), pair.into()]);
            args.extend(["--tlsCAFile".into(), ca.into()]);
        }
        Ok(Self { workdir, args })
    }

    /// Returns when it answers.
    pub(super) async fn start(&self, port: u16) -> Result<Process> {
        let answers = async || {
            let Ok(client) = client(std::iter::once(port), None, None) else {
                return false;
            };
            run(&client, "admin", doc! { "ping": 1 }).await.is_ok()
        };
        ProcessBuilder::new("mongod", assets::mongod::binary()?)
            .args(self.args.iter().cloned())
            .args(["--port".to_owned(), port.to_string()])
            .start(&self.workdir, answers)
            .await
    }
}
