//! Which PgBouncer it is, as far as that changes its configuration.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

const TIMEOUT: Duration = Duration::from_secs(10);

/// PgBouncer's own default where it has one.
const KEPT: u32 = 200;

/// How many prepared statements to keep: none before 1.21, which refuses the setting.
pub(crate) async fn prepared_statements(program: &Path) -> Option<u32> {
    let mut command = Command::new(program);
    let asked = command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let version = version(&text);
            tracing::info!(version = text.lines().next(), "found PgBouncer");
            version.filter(|version| *version >= (1, 21)).map(|_| KEPT)
        }
        Ok(Err(err)) => {
            tracing::error!(program = %program.display(), error = %err, "PgBouncer can't be run");
            None
        }
        Err(_) => None,
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("PgBouncer ")?.split(['.', '\n']);
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("PgBouncer 1.18.0\nlibevent 2"), Some((1, 18)));
        assert_eq!(version("PgBouncer 1.25.2"), Some((1, 25)));
        assert_eq!(version("psql 15"), None);
    }
}
