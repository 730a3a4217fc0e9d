//! PgBouncer: Debian's where it is installed, else the files of Debian's packages, unpacked beside
//! the other assets. Installing the package would start a service on a well-known port.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{cache, cached, progress, reachable, tools};

/// The program, and the folder with the libraries that the system lacks.
#[derive(Debug, Clone)]
pub struct PgBouncer {
    pub program: PathBuf,
    pub libraries: Option<PathBuf>,
}

const INSTALLED: &str = "/usr/sbin/pgbouncer";
const PACKAGES: [&str; 3] = ["pgbouncer", "libc-ares2", "libevent-2.1-7"];

pub fn binary() -> Result<PgBouncer> {
    if Path::new(INSTALLED).exists() {
        return Ok(PgBouncer {
            program: INSTALLED.into(),
            libraries: None,
        });
    }
    let folder = reachable(&cache()).join("pgbouncer");
    let folder = cached(&folder, fetch)?;
    let triple = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    Ok(PgBouncer {
        program: folder.join("usr/sbin/pgbouncer"),
        libraries: Some(folder.join(triple)),
    })
}

fn fetch(folder: &Path) -> Result<()> {
    anyhow::ensure!(
        tools::is_on_path("apt-get"),
        "PgBouncer comes from Debian's packages here, so apt-get must be on the PATH; \
         or install PgBouncer as {INSTALLED}"
    );
    progress("fetching PgBouncer");
    tools::unpack(&PACKAGES, folder)
}
