//! Why the present contents of a file are not in use.

use std::path::PathBuf;

/// Why the last version stays although the file may hold something else now.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file is missing, or may not be read.
    #[error("{path} can't be read")]
    Unreadable {
        /// The file that is followed.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path leads to a directory, a pipe, or a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The file that is followed.
        path: PathBuf,
    },
    /// A Secret holds at most 1 MiB, and so does this file.
    #[error("{path} has more than {limit_bytes} bytes")]
    TooLarge {
        /// The file that is followed.
        path: PathBuf,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The contents are not UTF-8.
    #[error("{path} is not UTF-8 text")]
    NotText {
        /// The file that is followed.
        path: PathBuf,
    },
    /// Nothing but white space: somebody is between truncating and writing, or forgot the latter.
    #[error("{path} is empty")]
    Empty {
        /// The file that is followed.
        path: PathBuf,
    },
    /// The contents were different at every look.
    #[error("{path} is being written")]
    Unsettled {
        /// The file that is followed.
        path: PathBuf,
    },
    /// The validation said no.
    #[error("{path} is refused")]
    Invalid {
        /// The file that is followed.
        path: PathBuf,
        /// What the validation said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    /// The text of this error and of what caused it, in one line.
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
