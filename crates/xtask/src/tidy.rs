//! `cargo xtask tidy`: the rules of the repository that no compiler knows.
//!
//! Each rule is a module that returns what it dislikes, one line each; figures are printed and only
//! their maxima are rules.

mod boundaries;
mod lockfile;
mod sizes;
mod sources;
mod strings;

use anyhow::Result;
use sources::Source;

/// One broken rule: where, and what to do about it.
type Complaint = String;

pub(crate) fn run() -> Result<()> {
    let sources = Source::all()?;
    let mut complaints: Vec<Complaint> = lockfile::check()?;
    complaints.extend(boundaries::check()?);
    complaints.extend(strings::check(&sources));
    complaints.extend(sizes::check(&sources));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    anyhow::ensure!(complaints.is_empty(), "{} complaints", complaints.len());
    println!("tidy");
    Ok(())
}
