//! Processes are ready when they say so, and never outlive the one that started them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use testkit::process::{ProcessBuilder, Workdir};
use testkit::wait::wait_for;

/// Set in the child that [`a_killed_parent_takes_its_processes_along`] starts and kills.
const PARENT: &str = "TESTKIT_TEST_PARENT";

#[tokio::test]
async fn a_failed_start_shows_the_last_words_and_keeps_the_directory() -> Result<()> {
    let workdir = Workdir::new("failing")?;
    let failed = ProcessBuilder::new("failing", "sh")
        .args(["-c", "echo no such luck; exit 3"])
        .start(&workdir, async || false)
        .await;
    let text = format!("{:#}", failed.unwrap_err());
    assert!(text.contains("no such luck"), "{text}");
    let path = workdir.path().to_owned();
    drop(workdir);
    assert!(path.join("failing.log").exists());
    std::fs::remove_dir_all(path)?;
    Ok(())
}

/// Runs itself again as the parent: only a process of its own can be killed here.
#[tokio::test]
async fn a_killed_parent_takes_its_processes_along() -> Result<()> {
    if let Some(file) = std::env::var_os(PARENT) {
        let workdir = Workdir::new("orphan")?;
        let child = ProcessBuilder::new("orphan", "sleep").arg("600");
        let child = child.start(&workdir, async || true).await?;
        std::fs::write(file, child.pid().to_string())?;
        std::future::pending::<()>().await;
    }
    let file = tempfile::NamedTempFile::new()?;
    let mut parent = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "process::a_killed_parent_takes_its_processes_along",
        ])
        .env(PARENT, file.path())
        .stdout(Stdio::null())
        .spawn()?;
    let orphan = wait_for("the child's pid", async || {
        Ok(std::fs::read_to_string(file.path())?.parse::<u32>().ok())
    })
    .await?;
    let name = format!("/proc/{orphan}/comm");
    wait_for("the child", async || {
        let comm = std::fs::read_to_string(&name).context("it has ended already")?;
        Ok((comm.trim() == "sleep").then_some(()))
    })
    .await?;
    parent.kill()?;
    parent.wait()?;
    wait_for("the child's end", async || {
        Ok((!is_alive(orphan)).then_some(()))
    })
    .await
}

/// A zombie that nobody has reaped is dead.
fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
