//! The promise: at every instant, the DSN in the published Secret authenticates.
