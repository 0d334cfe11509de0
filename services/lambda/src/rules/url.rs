//! Function URLs: their host names, and their settings as they are stored and shown.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html>.

use crate::api::Cors;
use crate::attached::{CorsRecord, UrlRecord};
use gust_kit::ports::{UrlAuth, UrlCors, UrlInvokeMode};
use gust_types::Region;

/// The letters and digits of an id.
pub const ID_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The URL with this id on the gust that is reached at `origin` (`http://host:port`): every name below
/// `localhost` leads to this machine.
pub fn url(url_id: &str, region: &Region, origin: &str) -> String {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("http", origin));
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{url_id}.lambda-url.{region}.localhost{port}/")
}

/// Cors as it is stored; one that says nothing is none (inferred).
pub fn stored_cors(cors: &Cors) -> Option<CorsRecord> {
    let record = CorsRecord {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_origins: cors.allow_origins.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age_s: cors.max_age,
    };
    Some(record).filter(|record| *record != CorsRecord::default())
}

/// Cors as clients see it.
pub fn shown_cors(cors: &CorsRecord) -> Cors {
    Cors {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_origins: cors.allow_origins.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: cors.max_age_s,
    }
}

/// Cors as those need it who serve the URL.
pub fn served_cors(cors: &CorsRecord) -> UrlCors {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    UrlCors {
        allow_credentials: cors.allow_credentials == Some(true),
        allow_headers: list(&cors.allow_headers),
        allow_methods: list(&cors.allow_methods),
        allow_origins: list(&cors.allow_origins),
        expose_headers: list(&cors.expose_headers),
        max_age_s: cors.max_age_s.and_then(|age| u32::try_from(age).ok()),
    }
}

/// Who may call. Nobody is let in by a text that is neither of the two.
pub fn auth(record: &UrlRecord) -> UrlAuth {
    if record.auth_type == "NONE" { UrlAuth::None } else { UrlAuth::AwsIam }
}

/// How the response is passed on.
pub fn invoke_mode(record: &UrlRecord) -> UrlInvokeMode {
    if record.invoke_mode == "RESPONSE_STREAM" { UrlInvokeMode::ResponseStream } else { UrlInvokeMode::Buffered }
}

/// `2026-11-23T12:00:00.000000Z`: function URLs have a format of their own.
pub fn date(at_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_port_of_the_gust_that_is_asked() {
        let region = Region::parse("eu-west-1").unwrap();
        for (origin, expected) in [
            ("http://127.0.0.1:4566", "http://abc.lambda-url.eu-west-1.localhost:4566/"),
            ("http://[::1]:4566", "http://abc.lambda-url.eu-west-1.localhost:4566/"),
            ("http://localhost", "http://abc.lambda-url.eu-west-1.localhost/"),
            ("https://gust.example:443", "https://abc.lambda-url.eu-west-1.localhost:443/"),
            ("http://[::1]", "http://abc.lambda-url.eu-west-1.localhost/"),
        ] {
            assert_eq!(url("abc", &region, origin), expected);
        }
    }

    #[test]
    fn cors_is_shown_as_it_was_given() {
        let cors = Cors { allow_origins: Some(vec!["*".into()]), max_age: Some(60), ..Default::default() };
        let stored = stored_cors(&cors).unwrap();
        assert_eq!(shown_cors(&stored), cors);
        let served = served_cors(&stored);
        assert_eq!(
            (served.allow_origins, served.max_age_s, served.allow_credentials),
            (vec!["*".to_owned()], Some(60), false)
        );
        assert_eq!(stored_cors(&Cors::default()), None);
    }

    #[test]
    fn dates_have_microseconds() {
        assert_eq!(date(1_795_435_200_007), "2026-11-23T12:00:00.007000Z");
    }
}
