//! The credential as frameworks read it: the files of `secretTemplate.formats`. What differs from
//! one to the next is its quoting, and what it can say of TLS and of several hosts.

mod django;
mod dotenv;
mod node;
mod spring;

#[cfg(test)]
mod tests;

use api::names::secret_key;
use secrecy::SecretString;
use strum::{EnumString, IntoStaticStr};

use crate::{address::Engine, dsn::Dsn};

/// A form of the credential, as `secretTemplate.formats` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    // Published always.
    Url,
    Jdbc,
    Libpq,
    Pgpass,
    // A file of its own.
    Dotenv,
    Spring,
    Django,
    Node,
}

impl Format {
    /// The key of its file; none where its keys are published always.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Url | Self::Jdbc | Self::Libpq | Self::Pgpass => None,
            Self::Dotenv => Some(secret_key::DOTENV),
            Self::Spring => Some(secret_key::SPRING),
            Self::Django => Some(secret_key::DJANGO),
            Self::Node => Some(secret_key::NODE),
        }
    }

    /// Whether there is such a form for servers of that engine.
    pub fn is_of(self, engine: Engine) -> bool {
        match self {
            Self::Jdbc | Self::Libpq | Self::Pgpass => engine == Engine::Postgres,
            Self::Url | Self::Dotenv | Self::Spring | Self::Django | Self::Node => true,
        }
    }

    /// The file of its key.
    pub(crate) fn file(self, dsn: &Dsn) -> Option<(&'static str, SecretString)> {
        let text = match self {
            Self::Url | Self::Jdbc | Self::Libpq | Self::Pgpass => return None,
            Self::Dotenv => dotenv::file(dsn),
            Self::Spring => spring::file(dsn),
            Self::Django => django::file(dsn),
            Self::Node => node::file(dsn),
        };
        Some((self.key()?, text.into()))
    }
}
