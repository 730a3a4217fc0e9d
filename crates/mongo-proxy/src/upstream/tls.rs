//! Encryption towards the server, whose certificate must be of a given authority.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the URI asks for TLS, but no file with the authority's certificate is given")]
    NoAuthority,
    #[error("cannot read the authority's certificate")]
    Authority(#[source] rustls_pki_types::pem::Error),
    #[error("the authority's certificate is unusable")]
    Unusable(#[from] rustls::Error),
}

#[derive(Clone)]
pub(crate) enum Connector {
    Plain,
    Tls(TlsConnector),
}

impl Connector {
    pub(crate) fn new(has_tls: bool, authority: Option<&Path>) -> Result<Self, Error> {
        if !has_tls {
            return Ok(Self::Plain);
        }
        let path = authority.ok_or(Error::NoAuthority)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(Error::Authority)? {
            roots.add(certificate.map_err(Error::Authority)?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Tls(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn wrap(
        &self,
        member: &str,
        socket: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let Self::Tls(connector) = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let host = member.rsplit_once(':').map_or(member, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        connector.connect(name, socket).await
    }
}
