use std::num::NonZeroU32;

use proptest::prelude::*;

use super::super::client::ScramClient;
use super::*;

const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
/// The fewest that our client accepts.
const ITERATIONS: u32 = 4_096;

fn iterations() -> NonZeroU32 {
    NonZeroU32::new(ITERATIONS).unwrap()
}

fn of_the_rfc() -> ScramServer {
    of_the_rfc_with(ScramHash::Sha256)
}

fn of_the_rfc_with(hash: ScramHash) -> ScramServer {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let credentials = ScramCredentials::with_salt(hash, "pencil", salt, iterations());
    let request = ScramRequest::parse(FIRST.as_bytes()).unwrap();
    ScramServer::with_nonce(hash, &request, credentials, NONCE)
}

/// Runs an exchange with our own client.
fn exchange(
    hash: ScramHash,
    name: &str,
    password: &str,
    credentials: ScramCredentials,
) -> Result<(), ScramError> {
    let client = ScramClient::new(hash, name, password).unwrap();
    let request = ScramRequest::parse(client.first().as_bytes())?;
    assert_eq!(request.name(), name);
    let server = ScramServer::new(hash, &request, credentials)?;
    let proof = client.prove(server.first().as_bytes()).unwrap();
    let last = server.verify(proof.message.as_bytes())?;
    proof.check(last.as_bytes()).unwrap();
    Ok(())
}

fn refused(first: &str, code: &str) {
    let error = ScramRequest::parse(first.as_bytes()).unwrap_err();
    assert_eq!(error.code(), code, "{first}");
}

#[test]
fn the_example_of_rfc_7677() {
    let server = of_the_rfc();
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(server.first(), first);
    let last = server.verify(LAST.as_bytes()).unwrap();
    assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

/// The figures are those of an independent implementation.
#[test]
fn the_example_with_sha_512() {
    let (given, _) = LAST.rsplit_once(",p=").unwrap();
    let proof = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOM\
                 w+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    let last = of_the_rfc_with(ScramHash::Sha512).verify(format!("{given},p={proof}").as_bytes());
    let signature = "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0\
                     vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
    assert_eq!(last.unwrap(), format!("v={signature}"));
}

#[test]
fn our_client_proves_its_password_and_no_other() {
    for hash in ScramHash::ALL {
        for name in ["ann", "a=b,c", "=2C", "Žofie"] {
            let known = ScramCredentials::derive(hash, "secret", iterations()).unwrap();
            exchange(hash, name, "secret", known.clone()).unwrap();
            assert_eq!(exchange(hash, name, "other", known), Err(ScramError::Proof));
        }
    }
}

#[test]
fn credentials_of_an_unknown_name_or_another_hash_are_proved_by_no_password() {
    for hash in ScramHash::ALL {
        let unknown = ScramCredentials::of_unknown_name(hash, b"secret", "ann", iterations());
        assert_eq!(exchange(hash, "ann", "secret", unknown), Err(ScramError::Proof));
    }
    let other = ScramCredentials::derive(ScramHash::Sha512, "secret", iterations()).unwrap();
    assert_eq!(exchange(ScramHash::Sha256, "ann", "secret", other), Err(ScramError::Proof));
}

#[test]
fn headers_without_channel_binding_are_accepted() {
    for header in ["n,,", "y,,", "n,a=user,", "y,a=user,"] {
        let first = FIRST.replace("n,,", header);
        assert_eq!(ScramRequest::parse(first.as_bytes()).unwrap().name(), "user", "{header}");
    }
}

#[test]
fn what_is_not_supported_is_refused() {
    refused("p=tls-unique,,n=user,r=abc", "channel-binding-not-supported");
    refused("n,,m=ext,n=user,r=abc", "extensions-not-supported");
    refused("n,,n=user,r=abc,tokenauth=true", "extensions-not-supported");
    refused("n,a=other,n=user,r=abc", "other-error");
}

#[test]
fn malformed_first_messages_are_refused() {
    for first in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,,",
        "x,,n=user,r=abc",
        "n,user,n=user,r=abc",
        "n,,r=abc,n=user",
        "n,,n=user",
        "n,,n=user,",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=a\u{e9}",
        ",,,,",
        "n,,user,r=abc",
        "n,,n=user,x=abc",
    ] {
        refused(first, "invalid-encoding");
    }
    for name in ["", "a=b", "a=", "a=2c", "=3d", "a\0b"] {
        refused(&format!("n,,n={name},r=abc"), "invalid-username-encoding");
    }
    assert_eq!(ScramRequest::parse(b"n,,n=\xff,r=abc"), Err(ScramError::Malformed));
}

#[test]
fn long_messages_are_refused() {
    let nonce = |bytes: usize| format!("n,,n=user,r={}", "a".repeat(bytes));
    ScramRequest::parse(nonce(CLIENT_NONCE_BYTES).as_bytes()).unwrap();
    refused(&nonce(CLIENT_NONCE_BYTES + 1), "invalid-encoding");
    refused(&format!("n,,n={},r=abc", "a".repeat(MESSAGE_BYTES)), "invalid-encoding");
    let last = format!("{LAST}{}", "=".repeat(MESSAGE_BYTES));
    assert_eq!(of_the_rfc().verify(last.as_bytes()), Err(ScramError::Malformed));
}

#[test]
fn changed_last_messages_are_refused() {
    use ScramError::{Extension, HeadersDiffer, Malformed, Nonce, Proof};
    for (from, to, error) in [
        ("c=biws", "c=eSws", HeadersDiffer),
        ("c=biws,", "", Nonce),
        ("r=rOpr", "r=other", Nonce),
        ("hNlF$k0,", "hNlF$k,", Nonce),
        ("hNlF$k0,", "hNlF$k0,x=y,", Extension),
        (",r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", Malformed),
        (",p=", ",q=", Malformed),
        ("p=dHzb", "p=eHzb", Proof),
        ("p=dHzb", "p=!", Malformed),
        ("p=dHzb", "p=", Malformed),
        ("VQ=", "VQ==", Malformed),
    ] {
        let last = LAST.replace(from, to);
        assert_eq!(of_the_rfc().verify(last.as_bytes()), Err(error), "{last}");
    }
    assert_eq!(of_the_rfc().verify(b""), Err(Malformed));
    assert_eq!(of_the_rfc().verify(b",p="), Err(Malformed));
}

#[test]
fn a_proof_counts_in_its_own_exchange_only() {
    let hash = ScramHash::Sha256;
    let known = ScramCredentials::derive(hash, "secret", iterations()).unwrap();
    let client = ScramClient::new(hash, "ann", "secret").unwrap();
    let request = ScramRequest::parse(client.first().as_bytes()).unwrap();
    let first = ScramServer::new(hash, &request, known.clone()).unwrap();
    let proof = client.prove(first.first().as_bytes()).unwrap();
    let second = ScramServer::new(hash, &request, known).unwrap();
    assert_eq!(second.verify(proof.message.as_bytes()), Err(ScramError::Nonce));
    first.verify(proof.message.as_bytes()).unwrap();
}

#[test]
fn errors_have_the_form_of_the_rfc() {
    assert_eq!(ScramError::Proof.message(), "e=invalid-proof");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        _ = ScramRequest::parse(&bytes);
        prop_assert!(of_the_rfc().verify(&bytes).is_err());
    }

    #[test]
    fn texts_like_messages_are_parsed_or_refused(text in "[nypa,=]{0,8}[nrmcp=,23CD a]{0,40}") {
        if let Ok(request) = ScramRequest::parse(text.as_bytes()) {
            prop_assert_eq!(format!("{}{}", request.header, request.bare), &*text);
        }
        prop_assert!(of_the_rfc().verify(text.as_bytes()).is_err());
    }

    #[test]
    fn names_survive_their_escapes(name in "[^\0]{1,64}", nonce in "[!-+.-~]{1,40}") {
        let escaped = name.replace('=', "=3D").replace(',', "=2C");
        let request = ScramRequest::parse(format!("n,,n={escaped},r={nonce}").as_bytes()).unwrap();
        prop_assert_eq!(request.name(), name);
    }

    #[test]
    fn a_flipped_bit_of_the_last_message_is_refused(at in 0..LAST.len(), bit in 0..7) {
        let mut last = LAST.as_bytes().to_vec();
        last[at] ^= 1u8 << bit;
        prop_assert!(of_the_rfc().verify(&last).is_err());
    }
}
