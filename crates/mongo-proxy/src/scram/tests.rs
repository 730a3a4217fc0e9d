use std::num::NonZeroU32;
use std::sync::Arc;

use secrecy::SecretString;

use super::*;

fn keys(mechanism: Mechanism, password: &str, salt: &[u8]) -> Arc<Keys> {
    let password = SecretString::from(password);
    let iterations = NonZeroU32::new(4096).unwrap();
    Arc::new(Keys::derive(mechanism, "user", &password, salt, iterations).unwrap())
}

/// RFC 7677, section 3.
#[test]
fn the_conversation_of_the_rfc_is_reproduced() {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let mut client = Client::with_nonce(Mechanism::Sha256, "user", nonce);
    let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let challenge = client.challenge(server_first.as_bytes()).unwrap();
    let keys = keys(Mechanism::Sha256, "pencil", &challenge.salt);
    let proof = client.proof(&challenge, &keys);
    assert!(proof.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    client
        .finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        .unwrap();
    let forged = client.finish(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(forged, Err(Error::Signature));
}

#[test]
fn the_two_halves_agree_only_on_an_accepted_password() {
    for mechanism in [Mechanism::Sha1, Mechanism::Sha256] {
        for (password, is_let_in) in [("current", true), ("previous", true), ("older", false)] {
            let mut client = Client::new(mechanism, "us,er=");
            let offer = Offer::parse(mechanism, client.first().as_bytes()).unwrap();
            assert_eq!(offer.login, "us,er=");
            let accepted = ["current", "previous"].map(|known| keys(mechanism, known, b"salt"));
            let (server, text) = offer.challenge(b"salt", 4096, accepted.into());
            let challenge = client.challenge(text.as_bytes()).unwrap();
            let proof = client.proof(&challenge, &keys(mechanism, password, b"salt"));
            match server.finish(proof.as_bytes()) {
                Ok(last) => client.finish(last.as_bytes()).unwrap(),
                Err(err) => assert_eq!((err, is_let_in), (Error::Refused, false)),
            }
        }
    }
}

#[test]
fn weak_or_foreign_challenges_are_refused() {
    let client = Client::with_nonce(Mechanism::Sha256, "user", "abc".to_owned());
    let refused = |text: &str| client.challenge(text.as_bytes()).unwrap_err();
    assert_eq!(refused("r=abcd,s=c2FsdA==,i=4095"), Error::Iterations);
    assert_eq!(refused("r=abc,s=c2FsdA==,i=4096"), Error::Nonce);
    assert_eq!(refused("r=xyz,s=c2FsdA==,i=4096"), Error::Nonce);
    assert_eq!(refused("r=abcd,s=c2FsdA=,i=4096"), Error::Malformed);
}
