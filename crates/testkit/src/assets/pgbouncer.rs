//! The PgBouncer of the image dbproxy, with the image's own libraries. Installing a package would
//! start a service on a well-known port, and would be another version.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cached;
use super::debian::{self, Debian};

/// A program that becomes PgBouncer, under the loader of its own glibc: this machine's may be older.
pub fn program() -> Result<PathBuf> {
    let debian = Debian::fetch()?;
    let (loader, libraries) = (debian.loader(), debian.libraries());
    let pgbouncer = debian.path("usr/sbin/pgbouncer");
    let text = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        pgbouncer.display()
    );
    cached(&debian::folder().join("pgbouncer"), |unfinished| {
        fs::write(unfinished, text)?;
        let permissions = fs::Permissions::from_mode(0o755);
        fs::set_permissions(unfinished, permissions).context("cannot make it executable")
    })
}
