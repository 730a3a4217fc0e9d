//! What goes wrong around the controller, and what must not suffer from it.

mod black_hole;
