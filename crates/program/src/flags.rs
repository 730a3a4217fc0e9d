//! Flags as programs written in Go take them, for those who replace one.

use std::ffi::OsString;

use tracing::Level;

use crate::logs::Format;

/// The process's own arguments. Go takes `-flag` for `--flag`; single letters and numbers stay as
/// they are.
pub fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().map(with_two_dashes)
}

/// One argument with the dashes that clap expects.
pub fn with_two_dashes(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => argument,
    }
}

/// The flags of Go's zap, as controller-runtime registers them.
#[derive(Debug, Clone, clap::Args)]
pub struct Zap {
    /// json or console.
    #[arg(long, default_value = "console")]
    pub zap_encoder: String,
    /// debug, info, error, or a number (above 0 is debug).
    #[arg(long)]
    pub zap_log_level: Option<String>,

    // These change nothing here.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub zap_devel: Option<String>,
    #[arg(long, hide = true)]
    pub zap_stacktrace_level: Option<String>,
    #[arg(long, hide = true)]
    pub zap_time_encoding: Option<String>,
}

impl Zap {
    pub fn format(&self) -> Format {
        if self.zap_encoder == "json" {
            Format::Json
        } else {
            Format::Text
        }
    }

    /// The level, where the flag is given; what is not understood is `info`.
    pub fn level(&self) -> Option<Level> {
        let level = match self.zap_log_level.as_deref()? {
            "debug" => Level::DEBUG,
            "warn" => Level::WARN,
            "error" | "dpanic" | "panic" | "fatal" => Level::ERROR,
            number if number.parse::<u8>().is_ok_and(|verbosity| verbosity > 0) => Level::DEBUG,
            _ => Level::INFO,
        };
        Some(level)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        zap: Zap,
    }

    #[test]
    fn zap_levels_are_words_or_numbers() {
        for (argument, level) in [
            ("-zap-log-level=2", Some(Level::DEBUG)),
            ("--zap-log-level=0", Some(Level::INFO)),
            ("-zap-log-level=panic", Some(Level::ERROR)),
            ("-zap-devel", None),
        ] {
            let argument = with_two_dashes(argument.into());
            let args = Args::try_parse_from([OsString::from("x"), argument]).unwrap();
            assert_eq!(args.zap.level(), level);
        }
    }

    #[test]
    fn only_long_flags_with_one_dash_get_another() {
        for (given, taken) in [
            ("-class", "--class"),
            ("--class", "--class"),
            ("-c", "-c"),
            ("class", "class"),
        ] {
            assert_eq!(with_two_dashes(given.into()), taken);
        }
    }
}
