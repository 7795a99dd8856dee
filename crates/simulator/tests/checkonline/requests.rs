//! What the service says to requests that it cannot make sense of (fact sheet, sections 3.1 and 6.2).

use serde_json::json;
use simulator::Certificate;

use crate::client::{Shop, receipt};

#[tokio::test]
async fn what_is_no_request_gets_the_services_own_error_and_reaches_no_register() {
    let shop = Shop::open().await;
    let without = |key: &str| {
        let mut body = receipt("X-1");
        body.as_object_mut().expect("an object").remove(key);
        body.to_string()
    };
    let typed = |value| {
        let mut body = receipt("X-1");
        body["Password"] = value;
        body.to_string()
    };
    for (body, code) in [
        ("x".repeat(5 << 20), 1),
        (receipt("X-1").to_string()[..40].to_owned(), 2),
        (typed(json!("one")), 2),
        (typed(json!(-1)), 2),
        (without("Device"), 3),
        (without("RequestId"), 17),
    ] {
        let reply = shop.post_as(Certificate::North, body).await;
        assert_eq!(reply.code(), (500, code));
        assert_eq!(reply.body["Fatal"], true, "{code}");
        assert!(reply.body["ErrorDescription"].is_string() && reply.memory.is_none());
    }
    assert_eq!(
        shop.post(&receipt("X-1")).await.code(),
        (200, 0),
        "none of these is kept"
    );
    assert_eq!(shop.registered("X-1"), 1);
}

#[tokio::test]
async fn the_case_of_keys_and_unknown_keys_do_not_matter() {
    let shop = Shop::open().await;
    let body = receipt("Y-1").to_string();
    let body = body.replace("\"DocumentType\"", "\"documentType\"");
    let body = body.replace("\"Device\"", "\"isShipping\":false,\"DEVICE\"");
    assert_eq!(shop.post_as(Certificate::North, body).await.code(), (200, 0));
}
