//! What applications in pods do, and the count of what went wrong.
