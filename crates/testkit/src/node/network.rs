//! The bridge that pods hang on, and the removal of it when this process is gone, however it ends.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::assets::run;

const REMOVE: &str = include_str!("remove.sh");

/// Names carry the process's id, by which leftovers are known.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) name: String,
    /// This machine's own address there.
    pub(super) address: Ipv4Addr,
    pub(super) subnet: String,
    /// Waits for this process's end. Its input is a pipe that only we hold.
    undertaker: Child,
}

impl Bridge {
    /// Makes the bridge, after removing what dead processes left.
    pub(super) fn make() -> Result<Self> {
        run(Command::new("sh").args(["-c", REMOVE]))?;
        let pid = std::process::id();
        let undertaker = Command::new("sh")
            .args(["-c", REMOVE, "sh"])
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is not meant for it.
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        // Any private network does that this machine does not use; two runs differ.
        let [_, _, middle, low] = pid.to_be_bytes();
        let address = |last| Ipv4Addr::new(10, 64 | (middle & 0x3f), low, last);
        let name = format!("dbcnode{pid}");
        let own = format!("{}/24", address(1));
        ip(&["link", "add", &name, "type", "bridge"])?;
        ip(&["address", "add", &own, "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        Ok(Self {
            name,
            address: address(1),
            subnet: format!("{}/24", address(0)),
            undertaker,
        })
    }

    /// Removes all now; the node's processes must have ended.
    pub(super) fn remove(mut self) -> Result<()> {
        drop(self.undertaker.stdin.take());
        self.undertaker.wait().context("cannot wait for sh")?;
        Ok(())
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments)).map(drop)
}
