//! Encryption towards the server. What the URI asks of its certificate is checked against the
//! authority that lies beside the URI, or against the public ones where there is none.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::credential::Trust;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the file with the authority's certificate")]
    Unreadable(#[source] io::Error),
    #[error("the file with the authority's certificate holds none")]
    Authority(#[source] Option<rustls_pki_types::pem::Error>),
    #[error("the authority's certificate is unusable")]
    Unusable(#[from] rustls::Error),
}

/// How a server is connected to.
pub(crate) struct Connector {
    /// Without it nothing is encrypted.
    trust: Option<Trust>,
    /// A file that comes, changes and goes with the Secret; looked at for each connection.
    authority: PathBuf,
    made: Mutex<Option<Made>>,
}

struct Made {
    /// The file as it was, which may have been unusable since.
    authority: Option<Vec<u8>>,
    connector: TlsConnector,
}

impl Connector {
    /// Errors: the authority's file is there and can't be used.
    pub(crate) fn new(trust: Option<Trust>, authority: PathBuf) -> Result<Self, Error> {
        let connector = Self {
            trust,
            authority,
            made: Mutex::default(),
        };
        connector.current()?;
        Ok(connector)
    }

    /// None for plain text. A file that became unusable changes nothing.
    fn current(&self) -> Result<Option<TlsConnector>, Error> {
        let Some(trust) = self.trust else {
            return Ok(None);
        };
        let authority = match std::fs::read(&self.authority) {
            Ok(bytes) => Some(bytes),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => return Err(Error::Unreadable(err)),
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.authority == authority) {
            return Ok(Some(made.connector.clone()));
        }
        let connector = match (config(trust, authority.as_deref()), made.take()) {
            (Ok(config), _) => TlsConnector::from(Arc::new(config)),
            (Err(err), Some(made)) => {
                tracing::warn!(error = %err, "the former authority is trusted further on");
                made.connector
            }
            (Err(err), None) => return Err(err),
        };
        *made = Some(Made {
            authority,
            connector: connector.clone(),
        });
        Ok(Some(connector))
    }

    /// `Ok` with the socket itself where nothing is to be encrypted.
    pub(super) async fn wrap(
        &self,
        member: &str,
        socket: TcpStream,
    ) -> io::Result<Result<TlsStream<TcpStream>, TcpStream>> {
        let Some(connector) = self.current().map_err(io::Error::other)? else {
            return Ok(Err(socket));
        };
        let host = member.rsplit_once(':').map_or(member, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        connector.connect(name, socket).await.map(Ok)
    }
}

fn config(trust: Trust, authority: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = match trust {
        Trust::Host => config.with_root_certificates(roots(authority)?),
        Trust::Authority | Trust::Anybody => {
            let chain = match trust {
                Trust::Authority => {
                    let roots = Arc::new(roots(authority)?);
                    let verifier =
                        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                    let failed = |err: rustls::client::VerifierBuilderError| {
                        rustls::Error::General(err.to_string())
                    };
                    Some(verifier.build().map_err(failed)?)
                }
                _ => None,
            };
            let verifier = Lenient { chain, provider };
            config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(config.with_no_client_auth())
}

fn roots(authority: Option<&[u8]>) -> Result<RootCertStore, Error> {
    let Some(pem) = authority else {
        let public = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        return Ok(public.collect());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|err| Error::Authority(Some(err)))?;
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(Error::Authority(None));
    }
    Ok(roots)
}

/// Takes a certificate of another host, and without a `chain` anybody's: what the URI says in the
/// words of MongoDB's drivers.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is what is compared last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use testkit::pki::Authority;

    use super::*;

    fn verdict(chain: Option<&Authority>, leaf: &Authority) -> Result<(), rustls::Error> {
        testkit::install_crypto_provider();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = chain.map(|authority| {
            let roots = Arc::new(roots(Some(authority.pem().as_bytes())).unwrap());
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .unwrap()
        });
        let leaf = leaf.issue(&[]).unwrap();
        let leaf = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
        let elsewhere = ServerName::try_from("elsewhere.example.com").unwrap();
        let lenient = Lenient { chain, provider };
        let verdict = lenient.verify_server_cert(&leaf, &[], &elsewhere, &[], UnixTime::now());
        verdict.map(drop)
    }

    #[test]
    fn another_host_of_the_authority_is_trusted_and_no_other_authority() {
        let (one, another) = (
            Authority::new("one").unwrap(),
            Authority::new("two").unwrap(),
        );
        assert_eq!(verdict(Some(&one), &one), Ok(()));
        assert!(verdict(Some(&one), &another).is_err());
        assert_eq!(verdict(None, &another), Ok(()));
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        for text in ["", "no certificate"] {
            assert!(matches!(
                roots(Some(text.as_bytes())),
                Err(Error::Authority(None))
            ));
        }
        assert!(!roots(None).unwrap().is_empty());
    }
}
