//! What goes into which image: a new image is a new row.

use anyhow::Result;
use testkit::assets::debian::Debian;

pub(super) struct Recipe {
    /// The image's name, as the chart's values have it.
    pub(super) name: &'static str,
    /// With its arguments.
    pub(super) entrypoint: &'static [&'static str],
    pub(super) ours: Option<Ours>,
    /// Programs of Debian packages: where they lie in the package and in the image, without the
    /// leading slash.
    pub(super) from_debian: &'static [(&'static str, &'static str)],
    pub(super) debian: fn() -> Result<Debian>,
}

/// A program of this workspace.
pub(super) struct Ours {
    pub(super) package: &'static str,
    pub(super) binary: &'static str,
    /// Where it lies in the image, without the leading slash.
    pub(super) path: &'static str,
}

const PGBOUNCER: &str = "usr/sbin/pgbouncer";

/// What users run.
pub(super) const SHIPPED: [Recipe; 3] = [
    Recipe {
        name: "db-controller",
        entrypoint: &["/manager"],
        ours: Some(Ours {
            package: "db-controller",
            binary: "db-controller",
            path: "manager",
        }),
        from_debian: &[],
        debian: Debian::fetch,
    },
    Recipe {
        name: "dbproxy",
        entrypoint: &["/usr/bin/dbproxy"],
        ours: Some(Ours {
            package: "db-controller-dbproxy",
            binary: "dbproxy",
            path: "usr/bin/dbproxy",
        }),
        from_debian: &[(PGBOUNCER, PGBOUNCER)],
        debian: Debian::fetch,
    },
    Recipe {
        name: "dsnexec",
        entrypoint: &["/usr/bin/dsnexec"],
        ours: Some(Ours {
            package: "db-controller-dsnexec",
            binary: "dsnexec",
            path: "usr/bin/dsnexec",
        }),
        from_debian: &[],
        debian: Debian::fetch,
    },
];

/// The applications of the tests: a shell and PostgreSQL's clients, as this machine has them. Left
/// alone it sleeps, as a pod's sandbox does.
pub(super) const CLIENT: Recipe = Recipe {
    name: "testclient",
    entrypoint: &["/usr/bin/sleep", "infinity"],
    ours: None,
    from_debian: &[
        ("bin/busybox", "usr/bin/sh"),
        ("bin/busybox", "usr/bin/sleep"),
        ("usr/lib/postgresql/15/bin/psql", "usr/bin/psql"),
        ("usr/lib/postgresql/15/bin/pgbench", "usr/bin/pgbench"),
    ],
    debian: Debian::of_this_machine,
};
