//! What a password becomes under a salt: slow to derive, so derived once.

use std::collections::HashMap;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};

use super::{Error, Mechanism};

/// The keys of one password, salt and mechanism.
pub(crate) struct Keys {
    pub(super) client: Vec<u8>,
    pub(super) stored: Vec<u8>,
    pub(super) server: Vec<u8>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.stored.zeroize();
        self.server.zeroize();
    }
}

impl Keys {
    pub(crate) fn derive(
        mechanism: Mechanism,
        login: &str,
        password: &SecretString,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Result<Self, Error> {
        let mut prepared = prepared(mechanism, login, password)?;
        let (algorithm, length) = mechanism.pbkdf2();
        let mut salted = vec![0; length];
        ring::pbkdf2::derive(
            algorithm,
            iterations,
            salt,
            prepared.as_bytes(),
            &mut salted,
        );
        prepared.zeroize();
        let client = mechanism.hmac(&salted, b"Client Key");
        let server = mechanism.hmac(&salted, b"Server Key");
        salted.zeroize();
        let stored = mechanism.digest(&client);
        Ok(Self {
            client,
            stored,
            server,
        })
    }
}

fn prepared(mechanism: Mechanism, login: &str, password: &SecretString) -> Result<String, Error> {
    let password = password.expose_secret();
    match mechanism {
        Mechanism::Sha256 => {
            let prepared = stringprep::saslprep(password).map_err(|_| Error::Password)?;
            Ok(prepared.into_owned())
        }
        Mechanism::Sha1 => {
            let mut digest = Md5::new();
            digest.update(login);
            digest.update(":mongo:");
            digest.update(password);
            let mut text = String::new();
            for byte in digest.finalize() {
                let _ = write!(text, "{byte:02x}");
            }
            Ok(text)
        }
    }
}

/// Of which password these are the keys: a digest, so that the cache holds no password.
type Name = (Mechanism, Vec<u8>, Vec<u8>, NonZeroU32);

/// Bounded: a rotation adds an entry or two a member.
const CAPACITY: usize = 64;

#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<Name, Arc<Keys>>>);

impl KeyCache {
    /// Derived keys; on a thread that may block if they are new.
    pub(crate) async fn keys(
        &self,
        mechanism: Mechanism,
        login: &str,
        password: &SecretString,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Result<Arc<Keys>, Error> {
        let secret = format!("{login}\0{}", password.expose_secret());
        let digest = Mechanism::Sha256.digest(secret.as_bytes());
        let name = (mechanism, digest, salt.to_owned(), iterations);
        if let Some(keys) = self.lock().get(&name) {
            return Ok(Arc::clone(keys));
        }
        let (login, password, salt) = (login.to_owned(), password.clone(), salt.to_owned());
        let derive = move || Keys::derive(mechanism, &login, &password, &salt, iterations);
        let keys = tokio::task::spawn_blocking(derive).await;
        let keys = Arc::new(keys.map_err(|_| Error::Malformed)??);
        let mut cache = self.lock();
        if cache.len() >= CAPACITY {
            cache.clear();
        }
        cache.insert(name, Arc::clone(&keys));
        Ok(keys)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Arc<Keys>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
