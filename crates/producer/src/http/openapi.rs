//! The OpenAPI document: paths and answers from the handlers, the request from the contract itself.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{act, contract, intake, list, read, send};
use crate::example;
use crate::schema::{self, PLACE};

/// The name of the request's schema; its parts are called after it.
const REQUEST: &str = "ReceiptRequest";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "kassa",
        version = "1",
        description = "Registers fiscal receipts (54-FZ) exactly once.\n\nA repetition doubles nothing: whatever got no \
            answer, a 408, a 429 or a 5xx is sent again as it is. New fields may be added to answers at any time.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(intake::submit, list::list, read::read, act::cancel, act::resolve, act::refresh, send::resend, send::resell),
    components(schemas(contract::Problem)),
    tags(
        (name = "receipts", description = "Submit and read. Rights of the key: `submit`, `read`, `contacts`."),
        (name = "actions", description = "What a person does to a receipt. Rights: `act` for cancel, refresh, resend and \
            resell; `resolve`."),
    ),
)]
struct Document;

/// The OpenAPI 3.1 document of the API, version 1.
#[must_use]
pub fn document() -> Value {
    let mut document = json!(Document::openapi());
    // The default would name a server that is nobody's.
    document["components"]["securitySchemes"] = json!({
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "kassa_{id}_{secret}",
            "description": "A key of kassa key add."
        }
    });
    document["security"] = json!([{ "key": [] }]);
    put_request(&mut document);
    let operations = document["paths"]
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    operations.for_each(complete);
    describe_itself(&mut document);
    document
}

/// The document as it is served: made once.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    &TEXT
}

/// Puts the request's own JSON Schema in, so that there is no second one that could differ.
fn put_request(document: &mut Value) {
    let mut request = receipt::request::schema();
    // By AMQP the routing key names the store; here nothing else does.
    if let Some(required) = request["required"].as_array_mut() {
        required.push(json!("store"));
    }
    request["examples"] = json!([example::request()]);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schema::hoist(REQUEST, request, schemas);
    }
    document["paths"]["/v1/receipts"]["post"]["requestBody"] = json!({
        "description": "The receipt, as over AMQP (`receipt.request.v1`).",
        "required": true,
        "content": { "application/json": { "schema": { "$ref": format!("{PLACE}{REQUEST}") } } }
    });
}

/// What every operation behind a key can answer, and the form of every error.
fn complete(operation: &mut Value) {
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, description) in [
        (
            "401",
            "There is no key in `Authorization: Bearer …`, or it is unknown or revoked.",
        ),
        ("403", "The key does not have the right, or is for other stores."),
        (
            "408",
            "The request took too long to arrive or to be answered. Send it again.",
        ),
        (
            "429",
            "Too many requests with this key, or with unknown ones. Come again after `Retry-After`.",
        ),
        ("431", "The head of the request is too long."),
        ("500", "A mistake in kassa. Sending the request again doubles nothing."),
        (
            "503",
            "The database is away, or the process is full. Send it again after `Retry-After`.",
        ),
    ] {
        responses.insert(status.to_owned(), json!({ "description": description }));
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) && status != "431" {
            response["content"] = json!({
                "application/problem+json": { "schema": { "$ref": format!("{PLACE}Problem") } }
            });
        }
        let header = |description: &str, kind: &str| json!({ "description": description, "schema": { "type": kind } });
        if matches!(status.as_str(), "429" | "503") {
            response["headers"]["Retry-After"] = header("Seconds.", "integer");
        }
        if status == "401" {
            response["headers"]["WWW-Authenticate"] = header("`Bearer`.", "string");
        }
    }
}

fn describe_itself(document: &mut Value) {
    document["paths"]["/openapi.json"] = json!({
        "get": {
            "operationId": "describe",
            "summary": "This document.",
            "tags": ["receipts"],
            "security": [],
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1.",
                    "content": { "application/json": { "schema": { "type": "object" } } }
                },
                "408": { "description": "It took too long." },
                "503": { "description": "The process is full." }
            }
        }
    });
}
