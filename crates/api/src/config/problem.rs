//! What is wrong with a config file, and where.
//! A problem names keys and lines, never a value: what a user mistyped may be a password.

use std::fmt;

/// One finding. Whether it refuses the file or only warns is told by where it is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file, if [`Problem::in_file`] gave one.
    pub file: Option<String>,
    /// The key with its path, such as `passwordConfig.minPasswordLength`; empty where the file
    /// as a whole is meant.
    pub key: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Column in that line, from 1; only for text that is not YAML.
    pub column: Option<usize>,
    /// What is wrong and what to write instead, without key and line.
    pub message: String,
}

impl Problem {
    pub(super) fn new(
        key: impl Into<String>,
        line: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: None,
            key: key.into(),
            line,
            column: None,
            message: message.into(),
        }
    }

    pub(super) fn at_column(self, column: usize) -> Self {
        Self {
            column: Some(column),
            ..self
        }
    }

    /// The same problem, shown with the name of its file.
    pub fn in_file(self, name: impl Into<String>) -> Self {
        Self {
            file: Some(name.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            key,
            line,
            column,
            message,
        } = self;
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        match (line, column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, _) => {}
        }
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)
    }
}
