//! `django.json`: what stands under one name of Django's `DATABASES`. Options go to libpq, which
//! knows several hosts and every mode of TLS; the MongoDB backend takes a URI for its host.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    address::{Endpoint, Engine},
    dsn::Dsn,
};

pub(super) fn file(dsn: &Dsn) -> String {
    let settings = match dsn.address.scheme.engine() {
        Engine::Postgres => of_postgres(dsn),
        Engine::Mongo => json!({
            "ENGINE": "django_mongodb_backend",
            "HOST": dsn.uri().expose_secret(),
            "NAME": dsn.database.as_str(),
        }),
    };
    format!("{settings:#}\n")
}

fn of_postgres(dsn: &Dsn) -> Value {
    let address = &dsn.address;
    let list = |field: fn(&Endpoint) -> String| {
        let all: Vec<_> = address.endpoints().map(field).collect();
        all.join(",")
    };
    let parameters = address.parameters.iter();
    let mut options: BTreeMap<_, _> = parameters
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    options.insert("sslmode", address.ssl_mode.as_str());
    json!({
        "ENGINE": "django.db.backends.postgresql",
        "HOST": list(|endpoint| endpoint.host.clone()),
        "PORT": list(|endpoint| endpoint.port.to_string()),
        "NAME": dsn.database.as_str(),
        "USER": dsn.credential.login.as_str(),
        "PASSWORD": dsn.credential.password.expose_secret(),
        "OPTIONS": options,
    })
}
