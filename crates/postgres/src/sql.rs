//! Writes statements: a constant text, with identifiers and literals quoted where they stand.
//! The only place that declares a text safe to run.

use std::fmt;

use sqlx::{AssertSqlSafe, raw_sql};

/// Builds a [`Sql`] from a template and named parts, each of which is [`Safe`].
/// `concat!` keeps the template from capturing variables that nobody has quoted.
macro_rules! sql {
    ($template:literal $(, $name:ident = $part:expr)* $(,)?) => {
        $crate::sql::Sql::of(format!(
            concat!($template)
            $(, $name = $crate::sql::safe($part))*
        ))
    };
}
pub(crate) use sql;

/// What may stand in a statement as it is written.
pub(crate) trait Safe: fmt::Display {}

pub(crate) fn safe<T: Safe>(part: T) -> T {
    part
}

/// A name, in double quotes (manual section 4.1.1).
#[derive(Clone, Copy)]
pub(crate) struct Ident<'a>(pub(crate) &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl Safe for Ident<'_> {}

/// A text, in single quotes. One with a backslash is written in the escape form, which reads the
/// same whatever `standard_conforming_strings` says (manual section 4.1.2.2).
#[derive(Clone, Copy)]
pub(crate) struct Literal<'a>(pub(crate) &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubled = self.0.replace('\'', "''");
        if doubled.contains('\\') {
            write!(f, "E'{}'", doubled.replace('\\', "\\\\"))
        } else {
            write!(f, "'{doubled}'")
        }
    }
}

impl Safe for Literal<'_> {}

/// The names of a list as the server keeps it in a setting: with commas between them, and quoted
/// where they must be.
pub(crate) fn listed(list: &str) -> Vec<String> {
    let (mut names, mut name, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                name.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => names.push(std::mem::take(&mut name)),
            ' ' if !is_quoted => {}
            letter => name.push(letter),
        }
    }
    if !name.is_empty() {
        names.push(name);
    }
    names
}

/// A name that the server itself wrote, with its schema and in its own quotes.
#[derive(Clone)]
pub(crate) struct Quoted(pub(crate) String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Safe for Quoted {}

/// Several parts with commas between them.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Safe> fmt::Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl<T: Safe> Safe for List<T> {}

/// An array of texts.
pub(crate) struct Array<'a>(List<Literal<'a>>);

impl<'a> Array<'a> {
    pub(crate) fn of(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(List(texts.into_iter().map(Literal).collect()))
    }
}

impl fmt::Display for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ARRAY[{}]::text[]", self.0)
    }
}

impl Safe for Array<'_> {}

/// A word of SQL itself.
#[derive(Clone, Copy)]
pub(crate) struct Keyword(pub(crate) &'static str);

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Safe for Keyword {}

impl Safe for i64 {}

/// A statement, or part of one. May hold a verifier: never formatted but into a statement.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sql(String);

impl Sql {
    /// For the macro [`sql!`] alone.
    pub(crate) fn of(text: String) -> Self {
        Self(text)
    }

    /// One message to the server. Several statements in it are one transaction, without `BEGIN`
    /// (manual section 55.2.2.1).
    pub(crate) fn batch(statements: impl IntoIterator<Item = Sql>) -> Self {
        let texts: Vec<String> = statements.into_iter().map(|Self(text)| text).collect();
        Self(texts.join(";\n"))
    }

    pub(crate) fn into_query(self) -> sqlx::RawSql {
        raw_sql(AssertSqlSafe(self.0))
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Safe for Sql {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_the_server_writes_it() {
        let check = |list: &str, want: &[&str]| assert_eq!(listed(list), want);
        check("", &[]);
        check("audit, sales", &["audit", "sales"]);
        check(
            r#""Sales, ""old""", "$user""#,
            &[r#"Sales, "old""#, "$user"],
        );
    }

    #[test]
    fn names_and_texts_are_quoted_where_they_stand() {
        let check = |sql: Sql, want: &str| assert_eq!(sql.to_string(), want);
        check(
            sql!("DROP ROLE {role}", role = Ident(r#"a"; DROP ROLE b; --"#)),
            r#"DROP ROLE "a""; DROP ROLE b; --""#,
        );
        check(
            sql!("SELECT {text}", text = Literal("it's")),
            "SELECT 'it''s'",
        );
        check(
            sql!("SELECT {text}", text = Literal(r"\' OR true --")),
            r"SELECT E'\\'' OR true --'",
        );
        check(
            sql!("SELECT {texts}", texts = Array::of(["a", "b'"])),
            "SELECT ARRAY['a', 'b''']::text[]",
        );
    }
}
