//! `node.json`: what node-postgres takes as its configuration, or the URI and the options of
//! MongoDB's driver. node-postgres knows one host, and no TLS that is there only if it must.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    address::{Address, Engine, SslMode},
    dsn::Dsn,
};

/// Parameters that have the same name here as in libpq.
const COMMON: [&str; 2] = ["application_name", "options"];

pub(super) fn file(dsn: &Dsn) -> String {
    let config = match dsn.address.scheme.engine() {
        Engine::Postgres => of_postgres(dsn),
        Engine::Mongo => of_mongo(dsn),
    };
    format!("{config:#}\n")
}

fn of_postgres(dsn: &Dsn) -> Value {
    let address = &dsn.address;
    let mut config = json!({
        "host": address.primary.host,
        "port": address.primary.port,
        "database": dsn.database.as_str(),
        "user": dsn.credential.login.as_str(),
        "password": dsn.credential.password.expose_secret(),
        "ssl": ssl(address),
    });
    if let Some(config) = config.as_object_mut() {
        let common = COMMON.iter();
        let common = common.filter_map(|name| Some((name, address.parameter(name)?)));
        config.extend(common.map(|(name, value)| ((*name).to_owned(), value.into())));
    }
    config
}

/// Where libpq would try both ways, what it tries first.
fn ssl(address: &Address) -> Value {
    match address.ssl_mode {
        SslMode::Disable | SslMode::Allow => json!(false),
        SslMode::Prefer | SslMode::Require => json!({ "rejectUnauthorized": false }),
        SslMode::VerifyCa | SslMode::VerifyFull => {
            let mut ssl = json!({ "rejectUnauthorized": true });
            trust(&mut ssl, address);
            ssl
        }
    }
}

fn of_mongo(dsn: &Dsn) -> Value {
    let mut options = json!({});
    if dsn.address.ssl_mode != SslMode::Disable {
        trust(&mut options, &dsn.address);
    }
    json!({ "uri": dsn.uri().expose_secret(), "options": options })
}

/// The server's own authorities; without, those that Node.js knows.
fn trust(options: &mut Value, address: &Address) {
    if let (Some(options), Some(ca)) = (options.as_object_mut(), &address.ca) {
        options.insert("ca".to_owned(), ca.as_str().into());
    }
}
