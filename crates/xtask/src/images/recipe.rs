//! What goes into which image: a new image is a new row.

pub(super) struct Recipe {
    /// The image's name, as the chart's values have it.
    pub(super) name: &'static str,
    pub(super) package: &'static str,
    pub(super) binary: &'static str,
    /// Where our program lies in the image, without the leading slash.
    pub(super) path: &'static str,
    /// Programs of Debian packages, at the same path as there.
    pub(super) from_debian: &'static [&'static str],
}

pub(super) const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "db-controller",
        package: "db-controller",
        binary: "db-controller",
        path: "manager",
        from_debian: &[],
    },
    Recipe {
        name: "dbproxy",
        package: "db-controller-dbproxy",
        binary: "dbproxy",
        path: "usr/bin/dbproxy",
        from_debian: &["usr/sbin/pgbouncer"],
    },
    Recipe {
        name: "dsnexec",
        package: "db-controller-dsnexec",
        binary: "dsnexec",
        path: "usr/bin/dsnexec",
        from_debian: &[],
    },
];

impl Recipe {
    pub(super) fn program_in_image(&self) -> String {
        format!("/{}", self.path)
    }
}
