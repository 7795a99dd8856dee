//! Callbacks: v4 document 5.23 §10. The service posts the body of the report to `service.callback_url`, unsigned, so
//! nothing in it is believed; it is read for which report to ask for.

use receipt::{ExternalId, VendorUuid};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::LONGEST_CALLBACK_URL;
use crate::vendor::Named;

/// What is looked for in a body. Whatever else stands there, and of whatever type, is not read.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    external_id: Option<&'a RawValue>,
}

/// The registration that a body names.
pub(super) fn named(body: &[u8]) -> Named {
    // A text in another encoding somewhere in the body must not hide the ids, which are plain letters.
    let text = String::from_utf8_lossy(body);
    let Ok(body) = serde_json::from_str::<Body<'_>>(text.trim_start_matches('\u{feff}')) else {
        return Named::default();
    };
    let word = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    Named {
        vendor_uuid: word(body.uuid).and_then(|uuid| VendorUuid::parse(&uuid).ok()),
        external_id: word(body.external_id).and_then(|id| ExternalId::parse(&id).ok()),
    }
}

/// Why the service would not call: its limit and its mask (v4 document 5.23 §5). Such an address is taken with the
/// receipt and only warned about in the report, which nobody would see.
pub(super) fn address_fault(url: &str) -> Option<&'static str> {
    if url.chars().count() > LONGEST_CALLBACK_URL {
        return Some("is longer than the 256 characters that the vendor takes");
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let (authority, path) = rest
        .unwrap_or_default()
        .split_once('/')
        .unwrap_or((rest.unwrap_or_default(), ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let fits = is_host(host)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.?,'/\\+&=%$#_".contains(&byte));
    (!fits).then_some("does not fit the vendor's mask: a host name, a port, and a path of letters, digits, -, _ and .")
}

fn is_host(host: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_end(host.bytes().next())
        && is_end(host.bytes().last())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(body: &[u8]) -> (Option<String>, Option<String>) {
        let named = named(body);
        (
            named.vendor_uuid.map(|uuid| uuid.to_string()),
            named.external_id.map(|id| id.to_string()),
        )
    }

    #[test]
    fn a_report_names_its_registration_twice() {
        let body = include_bytes!("fixtures/report_done.json");
        let (uuid, external_id) = ids(body);
        let document: serde_json::Value = serde_json::from_slice(body).expect("a document");
        assert_eq!(uuid.as_deref(), document["uuid"].as_str());
        assert_eq!(external_id.as_deref(), document["external_id"].as_str());
        assert!(uuid.is_some() && external_id.is_some());
    }

    #[test]
    fn ids_are_found_whatever_stands_around_them() {
        let uuid = Some("u-1".to_owned());
        for body in [
            &br#"{"uuid":"u-1"}"#[..],
            b"\xef\xbb\xbf {\"uuid\":\"u-1\",\"external_id\":7}",
            b"{\"error\":{\"text\":\"\xcf\xee\xe2\xf2\xee\xf0\"},\"uuid\":\"u-1\"}",
            br#"{"uuid":"u-1","external_id":"no blanks allowed","payload":[[[[]]]]}"#,
        ] {
            assert_eq!(ids(body), (uuid.clone(), None), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_body_that_is_no_report_names_nothing() {
        let deep = "[".repeat(60_000);
        let nested = format!(r#"{{"uuid":{deep}"#);
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"uuid":null}"#,
            r#"{"uuid":""}"#,
            r#"{"uuid":"u","uuid":"v"}"#,
            &deep,
            &nested,
        ] {
            assert_eq!(named(body.as_bytes()), Named::default());
        }
    }

    #[test]
    fn an_address_that_the_service_would_not_call_is_told() {
        for good in [
            "https://receipts.shop.example/callbacks/atol/main/k7Rw-2mQx_9ZpL4tVb8NsD3y",
            "http://127.0.0.1:8080/callbacks/atol/main/k7Rw",
            "http://localhost",
        ] {
            assert_eq!(address_fault(good), None, "{good}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(240));
        for bad in [
            "",
            "ftp://shop.example/x",
            "https://user:pw@shop.example/x",
            "https://[::1]:8080/x",
            "https://shop.example/~x",
            "https://shop.example/a:b",
            "https://-shop/x",
            &long,
        ] {
            assert!(address_fault(bad).is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_body_can_hurt(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            named(&body);
        }
    }
}
