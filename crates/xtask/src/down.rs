//! `cargo xtask down`: ends what `up` started and removes its files.

use std::fs;

use anyhow::{Context, Result};

use crate::local;

pub(crate) async fn run() -> Result<()> {
    let processes = local::noted()?;
    for process in &processes {
        process.end().await?;
    }
    for folder in [local::postgres_folder(), local::folder()] {
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    println!("{} processes ended", processes.len());
    Ok(())
}
