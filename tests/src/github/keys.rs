//! The App's key pair, and the check of the claims signed with it.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const FILE: &str = "app-key.pem";
const BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";
const END: &str = "-----END RSA PRIVATE KEY-----";

/// An RSA key in the form GitHub hands out (PKCS#1).
pub(super) struct AppKey {
    der: Vec<u8>,
    public: Vec<u8>,
}

impl AppKey {
    /// The key of the folder, or the one this process made for all its stand-ins: making one costs
    /// more than most tests.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        static OURS: OnceLock<Vec<u8>> = OnceLock::new();
        let path = dir.join(FILE);
        if let Ok(pem) = std::fs::read_to_string(&path) {
            return Self::from_der(decode_pem(&pem)?);
        }
        if OURS.get().is_none() {
            // Losing the race to another test is fine: both keys are good, one is kept.
            let _ = OURS.set(generate()?);
        }
        let der = OURS.get().context("the key was set just above")?.clone();
        Self::from_der(der)?.keep(&path)
    }

    /// A key never used before, which takes the place of the folder's.
    pub(super) fn replace(dir: &Path) -> Result<Self> {
        Self::from_der(generate()?)?.keep(&dir.join(FILE))
    }

    fn keep(self, path: &Path) -> Result<Self> {
        std::fs::write(path, self.private_pem())?;
        Ok(self)
    }

    /// The claims as a JSON web token, whatever they are.
    pub(super) fn sign(&self, claims: &Value) -> Result<String> {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(&json!({ "alg": "RS256", "typ": "JWT" })),
            part(claims)
        );
        let pair = KeyPair::from_der(&self.der).map_err(|e| anyhow!("not an RSA key: {e}"))?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| anyhow!("cannot sign"))?;
        Ok(format!(
            "{signed}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }

    fn from_der(der: Vec<u8>) -> Result<Self> {
        let pair = KeyPair::from_der(&der).map_err(|e| anyhow!("not an RSA key: {e}"))?;
        Ok(Self {
            public: pair.public_key().as_ref().to_vec(),
            der,
        })
    }

    pub(super) fn private_pem(&self) -> String {
        let text = BASE64_STANDARD.encode(&self.der);
        let mut pem = format!("{BEGIN}\n");
        for start in (0..text.len()).step_by(64) {
            pem.push_str(&text[start..text.len().min(start + 64)]);
            pem.push('\n');
        }
        pem + END + "\n"
    }

    /// The claims of a JSON web token signed RS256 with this key; anything else is refused.
    pub(super) fn claims(&self, jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = decode_part(header)?;
        // "none" and the symmetric algorithms are the classic forgeries.
        if header.get("alg")?.as_str()? != "RS256" {
            return None;
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public)
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        decode_part(claims)
    }
}

fn decode_part(part: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn generate() -> Result<Vec<u8>> {
    let pair =
        KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("cannot make an RSA key"))?;
    let pkcs8: Pkcs8V1Der<'_> = pair
        .as_der()
        .map_err(|_| anyhow!("cannot encode an RSA key"))?;
    // PKCS#8 wraps the PKCS#1 key that GitHub hands out behind 26 bytes, always the same ones for a
    // key of this size.
    let inner = pkcs8
        .as_ref()
        .get(26..)
        .context("a PKCS#8 key is longer than its head")?;
    ensure!(
        inner.starts_with(&[0x30, 0x82]),
        "the PKCS#8 head has another length than thought"
    );
    Ok(inner.to_vec())
}

fn decode_pem(pem: &str) -> Result<Vec<u8>> {
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    BASE64_STANDARD
        .decode(body.trim())
        .context("the kept key is not PEM")
}
