use std::fmt::Write;
use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::NONCE_BYTES;
use super::hash::ScramHash;

/// The header of a client without channel binding, and its encoding.
const HEADER: &str = "n,,";
const ENCODED_HEADER: &str = "biws";
/// The fewest iterations that Kafka allows, and the most that the client computes for a broker.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;

/// The client's side of one authentication.
pub struct ScramClient<'a> {
    hash: ScramHash,
    password: &'a str,
    nonce: String,
    /// The client's first message without its header.
    bare: String,
}

/// The client's proof, and the signature by which the broker proves itself.
pub struct ScramProof {
    /// The client's last message.
    pub message: String,
    signature: String,
}

impl<'a> ScramClient<'a> {
    /// Begins with a random nonce.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(hash: ScramHash, name: &str, password: &'a str) -> Result<Self, String> {
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        Ok(Self::with_nonce(hash, name, password, STANDARD.encode(random)))
    }

    fn with_nonce(hash: ScramHash, name: &str, password: &'a str, nonce: String) -> Self {
        let name = name.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        ScramClient { hash, password, nonce, bare }
    }

    /// Returns the client's first message.
    pub fn first(&self) -> String {
        format!("{HEADER}{}", self.bare)
    }

    /// Answers the broker's first message. Slow on purpose, in proportion to the iterations that it demands.
    ///
    /// # Errors
    /// The message is malformed, or demands too few or too many iterations.
    pub fn prove(&self, challenge: &[u8]) -> Result<ScramProof, String> {
        let challenge = text(challenge)?;
        let nonce = field(challenge, 'r')?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the nonce of the broker does not extend that of the client".to_owned());
        }
        let salt = STANDARD.decode(field(challenge, 's')?).map_err(|error| error.to_string())?;
        let iterations: u32 =
            field(challenge, 'i')?.parse().map_err(|_| "its iterations are no number")?;
        let iterations = NonZeroU32::new(iterations).filter(|n| ITERATIONS.contains(&n.get()));
        let iterations = iterations.ok_or("its iterations are out of range")?;
        let salted = self.hash.salted_password(self.password, &salt, iterations);
        let mut message = format!("c={ENCODED_HEADER},r={nonce}");
        let signed = format!("{},{challenge},{message}", self.bare);
        let client_key = self.hash.sign(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let signature = self.hash.sign(stored_key.as_ref(), signed.as_bytes());
        let proof =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign);
        let proof = STANDARD.encode(proof.collect::<Vec<u8>>());
        write!(message, ",p={proof}").map_err(|error| error.to_string())?;
        let server_key = self.hash.sign(&salted, b"Server Key");
        let signature = self.hash.sign(server_key.as_ref(), signed.as_bytes());
        Ok(ScramProof { message, signature: STANDARD.encode(signature) })
    }
}

impl ScramProof {
    /// Checks by the broker's last message that it knows the password too.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, last: &[u8]) -> Result<(), String> {
        if field(text(last)?, 'v')? == self.signature {
            return Ok(());
        }
        Err("the broker does not prove that it knows the password".to_owned())
    }
}

fn text(message: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(message).map_err(|_| "its message is not text".to_owned())
}

/// Returns the value of a field of a message.
fn field(message: &str, name: char) -> Result<&str, String> {
    let mut fields = message.split(',');
    let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.ok_or_else(|| format!("its message has no field {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn of_the_rfc() -> ScramClient<'static> {
        ScramClient::with_nonce(ScramHash::Sha256, "user", "pencil", NONCE.to_owned())
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let scram = of_the_rfc();
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = scram.prove(CHALLENGE.as_bytes()).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof.message, expected);
        proof.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_refused() {
        let proof = of_the_rfc().prove(CHALLENGE.as_bytes()).unwrap();
        for last in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "e=other-error", ""] {
            assert!(proof.check(last.as_bytes()).is_err(), "{last}");
        }
    }

    #[test]
    fn challenges_that_weaken_the_proof_are_refused() {
        let scram = of_the_rfc();
        for (from, to) in
            [("rOpr", "other"), ("i=4096", "i=1"), ("i=4096", "i=4000000000"), ("s=", "t=")]
        {
            assert!(scram.prove(CHALLENGE.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        let same = format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert!(scram.prove(same.as_bytes()).is_err());
    }

    #[test]
    fn names_with_separators_are_escaped() {
        let scram = ScramClient::with_nonce(ScramHash::Sha512, "a=b,c", "x", "n".to_owned());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=n");
    }
}
