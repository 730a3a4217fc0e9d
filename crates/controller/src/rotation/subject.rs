//! For whom a pass works.

use std::future::Future;

use api::claim::Inspection;

use super::Happening;
use crate::error::Error;

/// The object that publishes the Secret.
pub(crate) trait Subject: Sync {
    /// Refuses to go on for one that ended or was changed, as the cache has it.
    fn check(&self) -> Result<(), Error>;

    /// The same, as the API server has it: before something is made on the server.
    fn check_live(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Lets nothing name a login that ends, beside the Secret: to be called before it ends.
    fn let_go(&self, ends: &[&str]) -> impl Future<Output = Result<Vec<Happening>, Error>> + Send;

    /// Brings what repeats the Secret to what it holds now.
    fn follow(&self) -> impl Future<Output = ()> + Send;

    /// The question that was answered last.
    fn inspected(&self) -> Option<&str>;

    /// Records the answer to a question.
    fn answer(&self, inspection: Inspection) -> impl Future<Output = Result<(), Error>> + Send;

    /// The name of the Secret, as it was last recorded.
    fn recorded_secret(&self) -> Option<&str>;
}
