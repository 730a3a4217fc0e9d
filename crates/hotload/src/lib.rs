//! Follows a file that holds a DSN, and hands out connections with the current one.
//!
//! A rotated password reaches a pod as a changed file of a mounted Secret. [`open`] makes a
//! [`Pool`] whose new connections always use the DSN that the file holds now, and the [`Keeper`]
//! that follows the file. What happens to older connections is the [`Mode`]: graceful lets work
//! finish, forced cuts it. A file that becomes empty, unreadable or malformed changes nothing.
//!
//! The crate knows no driver: implement [`Connect`] for yours, as the folder `examples` does for
//! sqlx and tokio-postgres. A pool of sqlx's own can follow the file as well, by [`follow`] alone.
//! It knows no Kubernetes either: any file will do.
//!
//! ```
//! use hotload::{Connect, Malformed, Metrics, Mode, Options, Source};
//! use prometheus::Registry;
//! use secrecy::{ExposeSecret, SecretString};
//! use tokio_util::sync::CancellationToken;
//!
//! /// A driver whose connections are texts.
//! struct Texts;
//!
//! impl Connect for Texts {
//!     type Config = String;
//!     type Connection = String;
//!     type Error = std::convert::Infallible;
//!
//!     fn parse(&self, dsn: &SecretString) -> Result<String, Malformed> {
//!         let host = dsn.expose_secret().strip_prefix("text://");
//!         host.map(str::to_owned).ok_or(Malformed("not a text:// URI"))
//!     }
//!
//!     async fn connect(
//!         &self,
//!         host: &String,
//!         _cut: CancellationToken,
//!     ) -> Result<String, Self::Error> {
//!         Ok(format!("connected to {host}"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("dsn");
//! # std::fs::write(&path, "text://one\n")?;
//! let source = Source::new("texts", &path, Mode::Graceful);
//! let metrics = Metrics::new(&Registry::new())?;
//! let (pool, keeper) = hotload::open(source, Texts, Options::default(), metrics);
//!
//! let token = CancellationToken::new();
//! let task = tokio::spawn(keeper.run(token.clone()));
//!
//! assert_eq!(*pool.get().await?, "connected to one");
//!
//! token.cancel();
//! task.await?;
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

pub mod follow;

mod connect;
mod dsn;
mod keeper;
mod metrics;
mod pool;
mod source;

pub use connect::{Connect, Malformed};
pub use keeper::Keeper;
pub use metrics::{Metrics, Transaction};
pub use pool::{Error, Lease, Options, Pool, open};
pub use source::{Mode, Source, SourceError};
