//! Observes and changes MongoDB for db-controller: answers the engine's questions, carries out
//! its steps, proves a login before it is published.
//! Decides nothing: what is asked and what is done comes from `engine`. Knows no Kubernetes.
