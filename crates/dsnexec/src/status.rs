//! What is the matter with which config, for `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Status {
    /// None: the commands have run with the sources as they are. True if this is news.
    pub fn set(&self, config: &str, problem: Option<String>) -> bool {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = problems.get(config) != Some(&problem);
        problems.insert(config.to_owned(), problem);
        is_news
    }

    /// One sentence for each config that has a problem.
    pub fn problems(&self) -> Vec<String> {
        let problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problems = problems.iter().filter_map(|(config, problem)| {
            problem
                .as_ref()
                .map(|problem| format!("config {config}: {problem}"))
        });
        problems.collect()
    }
}
