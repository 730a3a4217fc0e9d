//! What the API server asks before it stores a pod or deletes a claim.
//!
//! [`mutate`] gives labelled pods their sidecars, [`convert`] turns annotations from before the
//! labels into labels, [`guard`] keeps claims from being deleted by accident. All three are pure:
//! the answer follows from the request, the settings and what the controller's caches hold
//! ([`known`]). [`serve`] listens for the questions, and [`certificate`] is what it shows.
//! Deliberately absent: API calls while a request waits, and validation of claims, which is CEL in
//! the CRDs.

pub mod certificate;
pub mod convert;
pub mod guard;
pub mod known;
pub mod metrics;
pub mod mutate;
pub mod serve;
pub mod settings;
