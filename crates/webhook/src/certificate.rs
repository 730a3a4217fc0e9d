//! The certificate that the API server is shown: made, kept, and replaced without a restart.

mod authority;
mod life;
mod renewal;
pub mod store;
pub mod upkeep;

pub use renewal::{Kept, renewed};

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Leaf {
    pub chain: String,
    pub key: SecretString,
}

/// Why a certificate cannot be presented.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the webhook's certificate is no PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("the webhook's certificate and key do not fit together")]
    Pair(#[source] rustls::Error),
    #[error("the webhook's TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

/// The certificate of handshakes from now on; clones share it.
#[derive(Debug, Clone)]
pub struct Presented(Arc<ArcSwap<CertifiedKey>>);

impl Presented {
    pub fn new(leaf: &Leaf) -> Result<Self, Error> {
        let certified = leaf.certified()?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(certified))))
    }

    /// Presents another certificate. With an error the present one stays.
    pub fn replace(&self, leaf: &Leaf) -> Result<(), Error> {
        self.0.store(Arc::new(leaf.certified()?));
        Ok(())
    }

    /// TLS 1.2 and 1.3 by ring, for HTTP/2 and HTTP/1.1.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Leaf {
    fn certified(&self) -> Result<CertifiedKey, Error> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect();
        let chain = chain.map_err(Error::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes());
        let key = key.map_err(Error::Pem)?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Error::Pair)
    }
}
