//! The one thread that spawns children.
//!
//! A parent-death signal fires when the *thread* that spawned the child ends, and test threads end
//! long before the servers that they share. This thread lives as long as the whole process.

use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};

use anyhow::{Context, Result};

struct Job {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

static SPAWNER: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, inbox) = mpsc::channel::<Job>();
    std::thread::spawn(move || {
        for Job { mut command, reply } in inbox {
            // A caller that no longer listens has dropped its interest in the child as well.
            let _ = reply.send(command.spawn());
        }
    });
    jobs
});

pub(super) fn spawn(command: Command) -> Result<Child> {
    let (reply, answer) = mpsc::channel();
    SPAWNER
        .send(Job { command, reply })
        .ok()
        .context("the spawning thread has ended")?;
    Ok(answer.recv().context("the spawning thread has ended")??)
}
