//! Tokens, good and forged.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventcast::{
    Action, Authenticator, ChannelName, ChannelPattern, Clock, Denied, Permissions, Timestamp,
};
use eventcast_auth::{JwtAuthenticator, JwtKeys, StaticTokens};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

const SECRET: &[u8] = b"32 bytes from a random generator";
const NOW: u64 = 1_800_000_000;
const RSA: &str = include_str!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
const EC: &str = include_str!("keys/ec.pem");
const EC_PUBLIC: &str = include_str!("keys/ec.pub.pem");

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW * 1_000)
    }
}

fn authenticator(keys: JwtKeys) -> JwtAuthenticator {
    JwtAuthenticator::new(keys)
        .with_clock(Fixed)
        .with_audience("events")
        .with_issuer("login")
}

fn claims() -> Value {
    json!({
        "sub": "ann", "iss": "login", "aud": "events", "jti": "t1", "exp": NOW + 600,
        "eventcast": { "subscribe": ["news", "orders/ann/*"], "publish": ["chat"] },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn signed(claims: &Value) -> String {
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap()
}

async fn ask(tokens: &impl Authenticator, header: (&str, &str)) -> Result<Permissions, Denied> {
    let request = http::Request::get("/events").header(header.0, header.1);
    let (parts, ()) = request.body(()).unwrap().into_parts();
    tokens.authenticate(&parts).await
}

async fn bearer(tokens: &impl Authenticator, token: &str) -> Result<Permissions, Denied> {
    ask(tokens, ("authorization", &format!("Bearer {token}"))).await
}

async fn assert_refused(tokens: &impl Authenticator, token: &str) {
    let denied = bearer(tokens, token).await;
    assert_eq!(denied.map(|_| ()), Err(Denied::Unauthorized), "{token}");
}

#[tokio::test]
async fn a_good_token_grants_what_it_says() {
    let tokens = authenticator(JwtKeys::hs256(SECRET));
    let permissions = bearer(&tokens, &signed(&claims())).await.unwrap();
    assert_eq!(permissions.principal(), Some("ann"));
    assert_eq!(permissions.token_id(), Some("t1"));
    let name = |name| ChannelName::new(name).unwrap();
    assert!(permissions.may_subscribe(&name("news")));
    assert!(permissions.may_subscribe(&name("orders/ann/7")));
    assert!(permissions.may(Action::History, &name("news")));
    assert!(!permissions.may_subscribe(&name("orders/bob/7")));
    assert!(!permissions.may_subscribe(&name("chat")));
    assert!(permissions.may_publish(&name("chat")));
    assert!(!permissions.may_publish(&name("news")));
    assert!(!permissions.may_somewhere(Action::Administer));
    let pattern = |pattern| ChannelPattern::new(pattern).unwrap();
    assert!(permissions.may_subscribe_pattern(&pattern("orders/ann/2026/*")));
    assert!(!permissions.may_subscribe_pattern(&pattern("orders/*")));
}

#[tokio::test]
async fn what_is_wrong_with_a_token() {
    let tokens = authenticator(JwtKeys::hs256(SECRET));
    let leeway = 30;
    for claims in [
        with("exp", json!(NOW - leeway)),
        without("exp"),
        with("exp", json!("never")),
        with("nbf", json!(NOW + leeway + 1)),
        with("aud", json!("another service")),
        without("aud"),
        with("iss", json!("somebody")),
        without("iss"),
        with("eventcast", json!({ "subscribe": "news" })),
        with("eventcast", json!({ "subscribes": ["news"] })),
    ] {
        assert_refused(&tokens, &signed(&claims)).await;
    }
    for claims in [
        with("exp", json!(NOW - leeway + 1)),
        with("nbf", json!(NOW + leeway)),
        with("aud", json!(["others", "events"])),
    ] {
        let _ = bearer(&tokens, &signed(&claims)).await.unwrap();
    }
    // A name that is none makes the whole token grant nothing.
    let bad = with("eventcast", json!({ "subscribe": ["a", "b\n"] }));
    let permissions = bearer(&tokens, &signed(&bad)).await.unwrap();
    assert!(!permissions.may_somewhere(Action::Subscribe));
}

#[tokio::test]
async fn forged_tokens() {
    let tokens = authenticator(JwtKeys::hs256(SECRET));
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(claims());
    let good = signed(&claims());
    let (_, signature) = good.rsplit_once('.').unwrap();
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "None", "typ": "JWT" }),
        json!({ "alg": "nOnE" }),
        json!({}),
    ] {
        for signature in ["", signature] {
            assert_refused(
                &tokens,
                &format!("{}.{body}.{signature}", part(header.clone())),
            )
            .await;
        }
    }
    let (head, _) = good.split_once('.').unwrap();
    let changed = part(with("sub", json!("admin")));
    assert_refused(&tokens, &format!("{head}.{changed}.{signature}")).await;
    let other = EncodingKey::from_secret(b"another secret");
    assert_refused(
        &tokens,
        &encode(&Header::default(), &claims(), &other).unwrap(),
    )
    .await;
    let stronger = encode(
        &Header::new(Algorithm::HS512),
        &claims(),
        &EncodingKey::from_secret(SECRET),
    );
    assert_refused(&tokens, &stronger.unwrap()).await;
    for garbage in ["", ".", "..", "a.b.c", "a.b", &"x".repeat(10_000), "é"] {
        assert_refused(&tokens, garbage).await;
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for (keys, public) in [
        (JwtKeys::rs256_pem(RSA_PUBLIC).unwrap(), RSA_PUBLIC),
        (JwtKeys::es256_pem(EC_PUBLIC).unwrap(), EC_PUBLIC),
    ] {
        let tokens = authenticator(keys);
        // What everybody may know, used as the secret of an algorithm that has one.
        let forged = EncodingKey::from_secret(public.as_bytes());
        let forged = encode(&Header::default(), &claims(), &forged).unwrap();
        assert_refused(&tokens, &forged).await;
    }
}

#[tokio::test]
async fn keys_of_every_kind() {
    let rsa = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let ec = EncodingKey::from_ec_pem(EC.as_bytes()).unwrap();
    let by_rsa = encode(&Header::new(Algorithm::RS256), &claims(), &rsa).unwrap();
    let by_ec = encode(&Header::new(Algorithm::ES256), &claims(), &ec).unwrap();
    let tokens = authenticator(JwtKeys::rs256_pem(RSA_PUBLIC).unwrap());
    let _ = bearer(&tokens, &by_rsa).await.unwrap();
    assert_refused(&tokens, &by_ec).await;
    // The keys change: for a while both are good.
    let new = JwtKeys::es256_pem(EC_PUBLIC).unwrap();
    tokens.set_keys(JwtKeys::rs256_pem(RSA_PUBLIC).unwrap().and(new.clone()));
    let _ = bearer(&tokens, &by_rsa).await.unwrap();
    let _ = bearer(&tokens, &by_ec).await.unwrap();
    tokens.set_keys(new);
    assert_refused(&tokens, &by_rsa).await;
    assert!(JwtKeys::rs256_pem(EC_PUBLIC).is_err());
    assert!(JwtKeys::es256_pem("no key").is_err());
}

#[tokio::test]
async fn a_jwks_document() {
    let rsa = EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    let ec = EncodingKey::from_ec_pem(EC.as_bytes()).unwrap();
    let jwk = |key: &EncodingKey, algorithm, id: &str| {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(id);
        jwk
    };
    let (first, second) = (
        jwk(&rsa, Algorithm::RS256, "1"),
        jwk(&ec, Algorithm::ES256, "2"),
    );
    let mut for_encryption = first.clone();
    for_encryption["use"] = json!("enc");
    for_encryption["kid"] = json!("3");
    let document = json!({ "keys": [first, second, for_encryption] });
    let tokens = authenticator(JwtKeys::jwks(&document.to_string()).unwrap());
    for (key, algorithm, id, is_good) in [
        (&rsa, Algorithm::RS256, Some("1"), true),
        (&ec, Algorithm::ES256, Some("2"), true),
        (&ec, Algorithm::ES256, None, true),
        (&rsa, Algorithm::RS256, Some("2"), false),
        (&rsa, Algorithm::RS256, Some("3"), false),
        (&rsa, Algorithm::RS512, Some("1"), false),
    ] {
        let mut header = Header::new(algorithm);
        header.kid = id.map(str::to_owned);
        let token = encode(&header, &claims(), key).unwrap();
        let found = bearer(&tokens, &token).await;
        assert_eq!(found.is_ok(), is_good, "{algorithm:?} {id:?}");
    }
    for bad in ["", "{}", r#"{"keys":[]}"#] {
        assert!(JwtKeys::jwks(bad).is_err(), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_token_is_refused_for_its_time() {
    let tokens = authenticator(JwtKeys::hs256(SECRET));
    let token = signed(&claims());
    tokens.deny("t1", Duration::from_secs(600));
    assert_refused(&tokens, &token).await;
    let _ = bearer(&tokens, &signed(&with("jti", json!("t2"))))
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    let _ = bearer(&tokens, &token).await.unwrap();
}

#[tokio::test]
async fn a_cookie_or_nothing() {
    let token = signed(&claims());
    let cookie = format!("theme=dark; session={token}");
    let tokens = authenticator(JwtKeys::hs256(SECRET));
    assert!(ask(&tokens, ("cookie", &cookie)).await.is_err());
    let tokens = tokens.with_cookie("session");
    let _ = ask(&tokens, ("cookie", &cookie)).await.unwrap();
    assert!(ask(&tokens, ("cookie", "session=")).await.is_err());
    let tokens = tokens.with_anonymous(Permissions::subscribe());
    let nobody = ask(&tokens, ("accept", "*/*")).await.unwrap();
    assert_eq!(nobody.principal(), None);
    // A bad token is not the same as none.
    assert_refused(&tokens, "x").await;
}

#[tokio::test]
async fn fixed_tokens() {
    let tokens = StaticTokens::new()
        .with("first", Permissions::publish().with_principal("feed"))
        .with("second", Permissions::all());
    let feed = bearer(&tokens, "first").await.unwrap();
    assert_eq!(feed.principal(), Some("feed"));
    let _ = bearer(&tokens, "second").await.unwrap();
    for wrong in ["", "firs", "first ", "FIRST", "third"] {
        assert_refused(&tokens, wrong).await;
    }
    assert!(
        ask(&tokens, ("authorization", "Basic first"))
            .await
            .is_err()
    );
    assert!(!format!("{tokens:?}").contains("first"));
}
