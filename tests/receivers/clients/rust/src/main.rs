//! The crate jsonwebtoken, which fetches nothing by itself: the application keeps the key set for as long as its
//! `Cache-Control` says, and asks again at a kid that is not in it. It must never ask more of a token than any reader of
//! the crate's documentation would.
//!
//! Nothing here is divided for a compressed timeline: Signet's development profile sends a max-age of one second.

use std::env;
use std::error::Error;
use std::io::Read;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use tiny_http::{Request, Response, Server, StatusCode};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BODY_BYTES_MAX: u64 = 1 << 20;

fn main() -> Outcome<()> {
    let listen = format!("127.0.0.1:{}", env::var("PORT")?);
    let server = Server::http(listen).map_err(|error| error.to_string())?;
    let mut keys = CachedKeys::of(env::var("JWKS_URL")?);
    let mut pins = Validation::new(Algorithm::ES256);
    pins.set_audience(&[env::var("AUDIENCE")?]);
    pins.set_issuer(&[env::var("ISSUER")?]);
    pins.set_required_spec_claims(&["aud", "exp", "iss"]);

    for mut request in server.incoming_requests() {
        let (status, words) = match verify(&mut request, &mut keys, &pins) {
            Ok(()) => (204, String::new()),
            Err(error) => (400, error.to_string()),
        };
        request.respond(Response::from_string(words).with_status_code(StatusCode(status)))?;
    }
    Ok(())
}

fn verify(request: &mut Request, keys: &mut CachedKeys, pins: &Validation) -> Outcome<()> {
    let body: Value = serde_json::from_reader(request.as_reader().take(BODY_BYTES_MAX))?;
    let token = body["token"].as_str().ok_or("the body has no token")?;
    let kid = decode_header(token)?.kid.ok_or("the token has no kid")?;
    let key = DecodingKey::from_jwk(keys.find(&kid)?)?;
    decode::<Value>(token, &key, pins)?;
    Ok(())
}

struct CachedKeys {
    url: String,
    set: JwkSet,
    fresh_until: Instant,
}

impl CachedKeys {
    fn of(url: String) -> Self {
        Self { url, set: JwkSet { keys: Vec::new() }, fresh_until: Instant::now() }
    }

    fn find(&mut self, kid: &str) -> Outcome<&Jwk> {
        if Instant::now() >= self.fresh_until || self.set.find(kid).is_none() {
            self.fetch()?;
        }
        self.set.find(kid).ok_or_else(|| format!("no key has the kid {kid}").into())
    }

    fn fetch(&mut self) -> Outcome<()> {
        let mut response = ureq::get(&self.url).call()?;
        let cache_control = response.headers().get("cache-control").and_then(|value| value.to_str().ok());
        let max_age = cache_control.and_then(max_age).unwrap_or_default();
        self.set = serde_json::from_str(&response.body_mut().read_to_string()?)?;
        self.fresh_until = Instant::now() + max_age;
        Ok(())
    }
}

fn max_age(cache_control: &str) -> Option<Duration> {
    let mut directives = cache_control.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
