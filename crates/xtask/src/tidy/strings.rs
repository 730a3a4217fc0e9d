//! Texts that belong into one place: exposed secrets, the API group, SQL.

use super::Complaint;
use super::sources::Source;

/// What is looked for in a line of code, and where it may be.
struct Rule {
    needles: &'static [&'static str],
    /// Starts of paths.
    allowed: &'static [&'static str],
    advice: &'static str,
}

/// Built from two parts, so that this file does not contain what it looks for.
const RULES: [Rule; 4] = [
    Rule {
        needles: &[concat!(".expose", "_secret()")],
        allowed: &[
            "crates/engine/src/password.rs",
            "crates/engine/src/dsn",
            "crates/engine/src/format",
            "crates/engine/src/secret.rs",
            "crates/engine/src/source.rs",
            "crates/postgres/src/admins.rs",
            "crates/postgres/src/verifier.rs",
            "crates/postgres/src/connect.rs",
            "crates/mongo/src/connect.rs",
            "crates/mongo/src/users.rs",
            "crates/mongo-proxy/src/credential",
            "crates/mongo-proxy/src/scram/keys.rs",
            "crates/controller/src/publish.rs",
            "crates/dbproxy/src/acknowledge.rs",
            "crates/dbproxy/src/dsn.rs",
            "crates/dbproxy/src/login.rs",
            "crates/dbproxy/src/private.rs",
            "crates/dbproxy/src/pgbouncer/files.rs",
            "crates/dsnexec/src/connect.rs",
            "crates/dsnexec/src/source.rs",
            "crates/hotload/src/follow/contents.rs",
            "crates/hotload/src/dsn.rs",
            "crates/hotload/examples/",
            "crates/webhook/src/certificate",
            "crates/testkit/",
            "crates/xtask/src/up.rs",
            "crates/xtask/src/bench/stage.rs",
            "crates/xtask/src/bench/dbproxy/pgbench.rs",
            "crates/xtask/src/bench/mongo_proxy/load.rs",
            "crates/xtask/src/bench/sidecar.rs",
            "crates/xtask/src/demo/objects.rs",
        ],
        advice: "a plaintext password is seen only by the modules that tidy lists",
    },
    Rule {
        needles: &[concat!("persistance", ".atlas.infoblox.com")],
        allowed: &["crates/api/"],
        advice: "use the constants of api::names",
    },
    Rule {
        needles: &[
            concat!("\"SEL", "ECT "),
            concat!("\"INS", "ERT INTO "),
            concat!("\"DEL", "ETE FROM "),
            concat!("\"ALT", "ER "),
            concat!("\"CRE", "ATE "),
            concat!("\"DR", "OP "),
            concat!("\"GRA", "NT "),
            concat!("\"REV", "OKE "),
        ],
        allowed: &[
            "crates/postgres/",
            "crates/dbproxy/src/pgbouncer/console.rs",
            "crates/dbproxy/src/pgbouncer/held.rs",
            "crates/hotload/examples/",
            "crates/testkit/",
            "crates/xtask/",
        ],
        advice: "SQL is written only in crates/postgres",
    },
    Rule {
        needles: &[concat!("Assert", "SqlSafe(")],
        allowed: &[
            "crates/postgres/src/sql.rs",
            // The user's statements, verbatim.
            "crates/dsnexec/src/destination/postgres.rs",
            "crates/testkit/",
            "crates/xtask/",
        ],
        advice: "dynamic SQL is built only in crates/postgres/src/sql.rs",
    },
];

pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources
        .iter()
        .filter(|source| !source.is_test())
        .flat_map(complaints)
        .collect()
}

fn complaints(source: &Source) -> Vec<Complaint> {
    let is_bound = |rule: &&Rule| {
        !rule
            .allowed
            .iter()
            .any(|start| source.path.starts_with(start))
    };
    let mut complaints = Vec::new();
    for rule in RULES.iter().filter(is_bound) {
        for (number, line) in source.code() {
            if rule.needles.iter().any(|needle| line.contains(needle)) {
                complaints.push(format!("{}:{number}: {}", source.path, rule.advice));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> usize {
        complaints(&Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
        .len()
    }

    #[test]
    fn sql_is_refused_outside_postgres_but_not_in_tests_and_comments() {
        let sql = "let x = \"DROP ROLE r\";\n";
        assert_eq!(check("crates/engine/src/a.rs", sql), 1);
        assert_eq!(check("crates/postgres/src/a.rs", sql), 0);
        assert_eq!(check("crates/engine/src/a.rs", &format!("// {sql}")), 0);
        assert_eq!(
            check("crates/engine/src/a.rs", &format!("#[cfg(test)]\n{sql}")),
            0
        );
    }
}
