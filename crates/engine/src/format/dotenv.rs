//! `.env`: the connection string as a variable. Readers disagree on escapes and on what `$` does,
//! but all take a text in single quotes as it stands if none of these is in it; percent-encoding
//! sees to that, so there is no variable with a bare password.

use secrecy::ExposeSecret;

use crate::{address::Engine, dsn::Dsn};

const URL: &str = "DATABASE_URL";
const MONGODB_URI: &str = "MONGODB_URI";

pub(super) fn file(dsn: &Dsn) -> String {
    let names: &[&str] = match dsn.address.scheme.engine() {
        Engine::Postgres => &[URL],
        Engine::Mongo => &[URL, MONGODB_URI],
    };
    let uri = dsn.uri();
    let lines = names.iter();
    let lines = lines.map(|name| format!("{name}='{}'\n", uri.expose_secret()));
    lines.collect()
}
