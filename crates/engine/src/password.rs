//! Passwords: what a policy promises, kept. Built on the `passwords` crate, whose generator draws
//! from the operating system's seeded CSPRNG; here only the alphabet and the classes are decided.

use api::config::{Complexity, Config};
use passwords::PasswordGenerator;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::address::Engine;

/// The symbols of the original controller: none needs an escape in a keyword DSN or a shell word.
pub const SYMBOLS: &str = "~#%^&*()_+-={}|[]:<>?,.";

/// The length where complexity is off, as the original has it.
const PLAIN_LENGTH: usize = 32;

/// What a generated password promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Exactly so many characters: at least a quarter digits and a quarter symbols, both cases.
    /// With 85 characters to draw from, 15 of them carry about 96 bits.
    Complex { length: usize },
    /// 32 characters of any class.
    Plain,
    /// 32 letters and digits, about 190 bits: no encoder of URIs or of MongoDB's shells matters.
    Alphanumeric,
}

impl Policy {
    /// What the configuration asks for on an engine.
    pub fn of(engine: Engine, config: &Config) -> Self {
        match config.password.complexity {
            _ if engine == Engine::Mongo => Self::Alphanumeric,
            Complexity::Enabled => Self::Complex {
                length: config.password.min_length.into(),
            },
            Complexity::Disabled => Self::Plain,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the password generator refused its settings: {0}")]
    Generator(&'static str),
    #[error("a password of {0} characters can't hold every class; use 15 to 99")]
    Length(usize),
}

/// Where passwords come from, so that a test can see which ones were asked for.
pub trait PasswordSource: Send + Sync {
    fn fresh(&self, policy: Policy) -> Result<SecretString, Error>;
}

/// The source of every password outside tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generator;

impl PasswordSource for Generator {
    fn fresh(&self, policy: Policy) -> Result<SecretString, Error> {
        let length = match policy {
            Policy::Plain => PLAIN_LENGTH,
            Policy::Alphanumeric => {
                let all = draw(PLAIN_LENGTH, |c| c.is_ascii_alphanumeric())?;
                return Ok(all.as_str().into());
            }
            Policy::Complex { length } if length < 8 => return Err(Error::Length(length)),
            Policy::Complex { length } => length,
        };
        // Rejection keeps the draw uniform over the passwords that qualify. Nearly every second
        // string has a quarter digits only by luck, so classes are placed by drawing positions.
        let symbols = draw(length, |c| SYMBOLS.contains(c))?;
        let digits = draw(length, |c| c.is_ascii_digit())?;
        let any = draw(length, is_allowed)?;
        if policy == Policy::Plain {
            return Ok(any.as_str().into());
        }
        compose(length, &digits, &symbols, &any)
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || SYMBOLS.contains(c)
}

/// `count` independent uniform characters among those that `accept` accepts.
fn draw(count: usize, accept: impl Fn(char) -> bool) -> Result<Zeroizing<String>, Error> {
    let generator = PasswordGenerator {
        length: count * 4,
        numbers: true,
        lowercase_letters: true,
        uppercase_letters: true,
        symbols: true,
        spaces: false,
        exclude_similar_characters: false,
        strict: false,
    };
    let mut kept = Zeroizing::new(String::with_capacity(count));
    while kept.len() < count {
        let batch = Zeroizing::new(generator.generate_one().map_err(Error::Generator)?);
        let wanted = count - kept.len();
        kept.extend(batch.chars().filter(|c| accept(*c)).take(wanted));
    }
    Ok(kept)
}

/// A quarter digits, a quarter symbols and both cases for sure, the rest of any class, in an order
/// drawn by chance.
fn compose(length: usize, digits: &str, symbols: &str, any: &str) -> Result<SecretString, Error> {
    let quarter = length / 4;
    let upper = draw(1, |c| c.is_ascii_uppercase())?;
    let lower = draw(1, |c| c.is_ascii_lowercase())?;
    let mut pool: Zeroizing<Vec<char>> = Zeroizing::new(
        digits
            .chars()
            .take(quarter)
            .chain(symbols.chars().take(quarter))
            .chain(upper.chars())
            .chain(lower.chars())
            .chain(any.chars())
            .take(length)
            .collect(),
    );
    let mut text = Zeroizing::new(String::with_capacity(length));
    while !pool.is_empty() {
        let at = uniform(pool.len())?;
        text.push(pool.swap_remove(at));
    }
    Ok(text.as_str().into())
}

/// A uniform index below `bound`, which is at most 100: two digits of the generator.
fn uniform(bound: usize) -> Result<usize, Error> {
    loop {
        let digits = draw(2, |c| c.is_ascii_digit())?;
        let index: usize = digits.parse().unwrap_or(usize::MAX);
        if index < 100 - 100 % bound {
            return Ok(index % bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn row_24_every_length_from_15_to_99_holds_every_class() {
        for length in 15..=99 {
            let password = Generator.fresh(Policy::Complex { length }).unwrap();
            let text = password.expose_secret();
            let count = |class: fn(char) -> bool| text.chars().filter(|c| class(*c)).count();
            assert_eq!(text.len(), length);
            assert!(text.chars().all(is_allowed));
            assert!(count(|c| c.is_ascii_digit()) >= length / 4);
            assert!(count(|c| SYMBOLS.contains(c)) >= length / 4);
            assert!(count(|c| c.is_ascii_uppercase()) >= 1);
            assert!(count(|c| c.is_ascii_lowercase()) >= 1);
        }
    }

    #[test]
    fn row_24_without_complexity_it_is_32_characters() {
        let password = Generator.fresh(Policy::Plain).unwrap();
        assert_eq!(password.expose_secret().len(), 32);
    }

    #[test]
    fn a_password_for_mongodb_needs_no_encoding() {
        let password = Generator.fresh(Policy::Alphanumeric).unwrap();
        let text = password.expose_secret();
        assert_eq!(text.len(), 32);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric()));
    }

    #[test]
    fn two_passwords_differ() {
        let [a, b] = [(); 2].map(|()| Generator.fresh(Policy::Complex { length: 15 }).unwrap());
        assert_ne!(a.expose_secret(), b.expose_secret());
    }
}
