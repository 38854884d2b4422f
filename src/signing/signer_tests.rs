//! The examples of the RFCs come out of our signer byte for byte, and our verifier accepts those that were made by others.

use josekit::jwk::Jwk;
use josekit::jws;
use serde_json::Value;

use super::*;
use crate::signing::aws_lc::AwsLcSigner;
use crate::signing::verify::verifier;

/// What the examples of RFC 7515 A.2 and A.3 say, line ends included.
const CLAIMS: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

/// RFC 7515 A.2.1.
const RSA: &str = concat!(
    r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Q"#,
    "lL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7W",
    "TBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDT",
    r#"W9gb54h4FRWyuXpoQ","e":"AQAB","d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZ"#,
    "x9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9J",
    "YanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2",
    r#"SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ","p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58B"#,
    "Q3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc\",\"q\":\"uQPEf",
    "gmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njb",
    r#"glfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc","dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71"#,
    "I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdY",
    r#"o0","dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgj"#,
    "Md2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU\",\"qi\":\"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJip",
    "d-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603",
    r#"k2-ZQwVK0JKSHuLFkuQ3U"}"#,
);
/// RFC 7515 A.2.1, all of it.
const RSA_TOKEN: &str = concat!(
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1d",
    "nZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwus",
    "C-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);

/// RFC 7515 A.3.1.
const EC: &str = concat!(
    r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
    r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
);
const EC_TOKEN: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

/// RFC 8037 A.1 and A.4.
const ED25519: &str = concat!(
    r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","#,
    r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
);
const ED25519_TOKEN: &str = concat!(
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iy",
    "lGjg5BhVsPt9g7sVvpAr_MuM0KAg",
);

/// The token that a private key of an example signs, under that example's header.
fn signed(jwk: &str, algorithm: Algorithm, payload: &str) -> String {
    let jws = Box::new(AwsLcSigner::open(jwk.as_bytes(), algorithm).unwrap());
    let header = base64url(format!(r#"{{"alg":"{}"}}"#, algorithm.as_str()).as_bytes());
    let signer = Signer {
        headers: TokenType::ALL.map(|_| header.clone()),
        ..Signer::here(Kid::from_text("example"), algorithm, jws)
    };
    let mut token = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(signer.sign_onto(&mut token, TokenType::Jwt, payload.as_bytes())).unwrap();
    token
}

/// What a token says, when its signature holds.
fn verified(jwk: &str, algorithm: Algorithm, token: &str) -> Option<String> {
    let private = Jwk::from_bytes(jwk).unwrap();
    let mut public = Jwk::new(private.key_type());
    for name in ["crv", "x", "y", "n", "e"] {
        public.set_parameter(name, private.parameter(name).map(|value: &Value| value.to_owned())).unwrap();
    }
    let verifier = verifier(&public, algorithm).unwrap();
    let (payload, _) = jws::deserialize_compact(token, &*verifier).ok()?;
    Some(String::from_utf8(payload).unwrap())
}

#[test]
fn the_rs256_example_of_rfc_7515_comes_out_byte_for_byte() {
    assert_eq!(signed(RSA, Algorithm::Rs256, CLAIMS), RSA_TOKEN);
    assert_eq!(verified(RSA, Algorithm::Rs256, RSA_TOKEN).as_deref(), Some(CLAIMS));
}

#[test]
fn the_eddsa_example_of_rfc_8037_comes_out_byte_for_byte() {
    let says = "Example of Ed25519 signing";

    assert_eq!(signed(ED25519, Algorithm::EdDsa, says), ED25519_TOKEN);
    assert_eq!(verified(ED25519, Algorithm::EdDsa, ED25519_TOKEN).as_deref(), Some(says));
}

#[test]
fn the_es256_example_of_rfc_7515_verifies_and_its_key_signs_what_verifies() {
    let ours = signed(EC, Algorithm::Es256, CLAIMS);

    assert_eq!(verified(EC, Algorithm::Es256, EC_TOKEN).as_deref(), Some(CLAIMS));
    assert_eq!(verified(EC, Algorithm::Es256, &ours).as_deref(), Some(CLAIMS));
    let signed_parts = |token: &str| token.rsplit_once('.').map(|(parts, _)| parts.to_owned());
    assert_eq!(signed_parts(&ours), signed_parts(EC_TOKEN));
}

#[test]
fn a_signer_prints_nothing_of_its_key() {
    let signer = AwsLcSigner::open(ED25519.as_bytes(), Algorithm::EdDsa).unwrap();

    assert_eq!(format!("{signer:?}"), "AwsLcSigner(EdDSA)");
}

#[test]
fn the_examples_of_the_rfcs_are_refused_once_a_character_is_another() {
    for (jwk, algorithm, token) in [
        (RSA, Algorithm::Rs256, RSA_TOKEN),
        (EC, Algorithm::Es256, EC_TOKEN),
        (ED25519, Algorithm::EdDsa, ED25519_TOKEN),
    ] {
        let signature = token.rfind('.').unwrap() + 1;
        // The fourth character of the payload, and the first of the signature.
        for at in [token.find('.').unwrap() + 4, signature] {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut forged = token.to_owned();
            forged.replace_range(at..=at, other);

            assert_eq!(verified(jwk, algorithm, &forged), None, "{forged}");
        }
    }
}
