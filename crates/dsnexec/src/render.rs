//! Puts values into the commands of a config. All of them are rendered before the first one runs.

use crate::config::Command;
use crate::destination::Statement;
use crate::template::RenderError;
use crate::value::{Text, Value};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("command {number} ({label}): {source}")]
    Command {
        number: usize,
        label: String,
        #[source]
        source: RenderError,
    },
    #[error("command {number} ({label}), argument {argument}: {source}")]
    Argument {
        number: usize,
        label: String,
        argument: usize,
        #[source]
        source: RenderError,
    },
    #[error("command {number} ({label}), argument {argument}: what follows {prefix} is not of it")]
    Cast {
        number: usize,
        label: String,
        argument: usize,
        prefix: &'static str,
    },
}

/// `context` maps names of files to what is in them.
pub fn statements(commands: &[Command], context: &Value) -> Result<Vec<Statement>, Error> {
    let numbered = (1..).zip(commands);
    numbered
        .map(|(number, command)| statement(number, command, context))
        .collect()
}

fn statement(number: usize, command: &Command, context: &Value) -> Result<Statement, Error> {
    let Command {
        label,
        text,
        arguments,
    } = command;
    let text = text.render(context).map_err(|source| Error::Command {
        number,
        label: label.clone(),
        source,
    })?;
    let mut values = Vec::with_capacity(arguments.len());
    for (argument, template) in (1..).zip(arguments) {
        let text = template.render(context).map_err(|source| Error::Argument {
            number,
            label: label.clone(),
            argument,
            source,
        })?;
        values.push(cast(text).map_err(|prefix| Error::Cast {
            number,
            label: label.clone(),
            argument,
            prefix,
        })?);
    }
    Ok(Statement {
        label: label.clone(),
        text,
        arguments: values,
    })
}

/// A whole number where the text begins with the name of a type. Errors: the prefix.
fn cast(text: Text) -> Result<Value, &'static str> {
    let fits = [
        ("int:", i64::MIN, i64::MAX),
        ("int8:", i8::MIN.into(), i8::MAX.into()),
        ("int16:", i16::MIN.into(), i16::MAX.into()),
        ("int32:", i32::MIN.into(), i32::MAX.into()),
        ("int64:", i64::MIN, i64::MAX),
    ];
    for (prefix, least, most) in fits {
        if let Some(digits) = text.strip_prefix(prefix) {
            let number = digits.parse::<i64>().map_err(|_| prefix)?;
            return if (least..=most).contains(&number) {
                Ok(Value::Int(number.into()))
            } else {
                Err(prefix)
            };
        }
    }
    Ok(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, &'static str>) {
        let got = cast(Text::new(text.to_owned())).map(|value| match value {
            Value::Int(number) => format!("number {number}"),
            other => other.printed().to_string(),
        });
        assert_eq!(got, want.map(str::to_owned), "{text}");
    }

    #[test]
    fn row_71_a_prefix_makes_a_number_that_fits_its_type() {
        check("int32:5432", Ok("number 5432"));
        check("int:-1", Ok("number -1"));
        check("int8:127", Ok("number 127"));
        check("int8:128", Err("int8:"));
        check("int16:hunter2", Err("int16:"));
        check("5432", Ok("5432"));
        check("print: 1", Ok("print: 1"));
    }
}
