//! What goes wrong around the controller: each story ends Ready without a restart, and an Event
//! names the cause.

mod black_hole;
mod drift;
mod hands;
mod outages;

/// Proves published credentials every second, so that no story waits ten minutes for it.
const OFTEN: &str = "driftCheckPeriod: 1s\n";
