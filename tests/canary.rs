//! Passwords stand in Secrets and nowhere else: known ones are planted and made, then everything
//! that the controller says or writes is searched for them.

mod documents;
mod hunt;
mod labels;
mod passwords;
mod places;
mod planted;
mod tenant;
