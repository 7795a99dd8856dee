//! The AsyncAPI document: what a shop publishes and what it is told over AMQP 0-9-1.
//!
//! Both payloads are the JSON Schemas of the contracts themselves; names at the broker come from `queue`.

use queue::{Exchange, Prefix};
use receipt::request::MESSAGE_TYPE;
use serde_json::{Map, Value, json};

use crate::schema;

const REQUEST: &str = "ReceiptRequest";
const EVENT: &str = "Event";

/// The `AsyncAPI` 3.0 document of requests and events, version 1, with the usual prefix of names at the broker.
#[must_use]
pub fn document() -> Value {
    let prefix = Prefix::default();
    let mut schemas = Map::new();
    schema::hoist(REQUEST, receipt::request::schema(), &mut schemas);
    schema::hoist(EVENT, receipt::event::schema(), &mut schemas);
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:kassa:asyncapi.v1",
        "info": {
            "title": "kassa",
            "version": "1",
            "description": "Registers fiscal receipts (54-FZ) exactly once. Names at the broker begin with \
                `broker.prefix`; this document shows the usual one.",
            "license": { "name": "MIT" }
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ 3.10 or later. `kassa topology apply` declares exchanges and queues."
            }
        },
        "channels": {
            "requests": {
                "address": "{store}",
                "title": "Requests of shops",
                "description": "The routing key is the store's code.",
                "parameters": { "store": { "description": "Code of the store: 1 to 16 characters of a-z, 0-9 and -." } },
                "messages": { "receiptRequest": { "$ref": "#/components/messages/receiptRequest" } },
                "bindings": { "amqp": exchange(&prefix, &Exchange::Requests) }
            },
            "events": {
                "address": "{store}.{type}",
                "title": "Events",
                "description": "Bind a queue of your own: `main.receipt.*` is everything about the receipts of the store \
                    main. Nobody keeps events for a queue that is not there.",
                "parameters": {
                    "store": { "description": "Code of the store." },
                    "type": {
                        "description": "What happened.",
                        "enum": event_types()
                    }
                },
                "messages": { "event": { "$ref": "#/components/messages/event" } },
                "bindings": { "amqp": exchange(&prefix, &Exchange::Events) }
            }
        },
        "operations": {
            "submitReceipt": {
                "action": "receive",
                "channel": { "$ref": "#/channels/requests" },
                "summary": "kassa accepts a receipt once.",
                "description": "Publish persistently, with confirms and `mandatory`. The confirm says that the broker has \
                    it, the event receipt.accepted that kassa has it. Publishing again is harmless: the document is the \
                    key.",
                "messages": [{ "$ref": "#/channels/requests/messages/receiptRequest" }],
                "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true, "ack": true, "bindingVersion": "0.3.0" } }
            },
            "tell": {
                "action": "send",
                "channel": { "$ref": "#/channels/events" },
                "summary": "kassa tells what became of a receipt, at least once.",
                "messages": [{ "$ref": "#/channels/events/messages/event" }],
                "bindings": { "amqp": { "deliveryMode": 2, "bindingVersion": "0.3.0" } }
            }
        },
        "components": {
            "messages": {
                "receiptRequest": {
                    "name": MESSAGE_TYPE,
                    "title": "A request to register a receipt",
                    "contentType": "application/json",
                    "headers": { "$ref": "#/components/schemas/RequestHeaders" },
                    "payload": { "$ref": format!("{}{REQUEST}", schema::PLACE) },
                    "correlationId": {
                        "description": "The property `message_id`; request.rejected and receipt.conflict carry it as \
                            `correlation_id`.",
                        "location": "$message.header#/message_id"
                    },
                    "bindings": { "amqp": { "messageType": MESSAGE_TYPE, "bindingVersion": "0.3.0" } },
                    "examples": [{
                        "name": "sale",
                        "headers": {
                            "content_type": "application/json",
                            "type": MESSAGE_TYPE,
                            "message_id": "000000417",
                            "timestamp": 1_795_426_200,
                            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                        },
                        "payload": crate::example::request()
                    }]
                },
                "event": {
                    "name": "event.v1",
                    "title": "What happened",
                    "contentType": "application/json",
                    "headers": { "$ref": "#/components/schemas/EventHeaders" },
                    "payload": { "$ref": format!("{}{EVENT}", schema::PLACE) },
                    "bindings": { "amqp": { "messageType": "receipt.done", "bindingVersion": "0.3.0" } },
                    "examples": examples()
                }
            },
            "schemas": with_headers(schemas)
        }
    })
}

/// Events with the properties that they come with.
fn examples() -> Vec<Value> {
    let example = |(name, payload): (&str, Value)| {
        let mut headers = json!({
            "content_type": "application/json",
            "type": payload["type"],
            "message_id": payload["id"],
            "timestamp": 1_795_426_201
        });
        if let Some(request) = payload.get("message_id") {
            headers["correlation_id"] = request.clone();
        }
        json!({ "name": name, "headers": headers, "payload": payload })
    };
    crate::example::events().into_iter().map(example).collect()
}

/// Every type of event, from the contract itself.
fn event_types() -> Vec<Value> {
    let schema = receipt::event::schema();
    let kinds = ["ReceiptEventType", "RequestEventType", "AccountEventType"];
    kinds
        .iter()
        .flat_map(|kind| schema["$defs"][kind]["oneOf"].as_array().cloned().unwrap_or_default())
        .map(|one| one["const"].clone())
        .collect()
}

fn exchange(prefix: &Prefix, exchange: &Exchange) -> Value {
    json!({
        "is": "routingKey",
        "exchange": { "name": prefix.exchange(exchange), "type": "topic", "durable": true, "autoDelete": false },
        "bindingVersion": "0.3.0"
    })
}

/// The properties and headers of messages.
fn with_headers(mut schemas: Map<String, Value>) -> Map<String, Value> {
    let timestamp = |description: &str| json!({ "type": "integer", "minimum": 0, "description": description });
    schemas.insert(
        "RequestHeaders".to_owned(),
        json!({
            "type": "object",
            "properties": {
                "content_type": { "type": "string", "description": "Property; not looked at." },
                "type": {
                    "type": "string",
                    "enum": [MESSAGE_TYPE, ""],
                    "description": "Property; may be left out. Any other type is refused."
                },
                "message_id": {
                    "type": "string",
                    "maxLength": 255,
                    "description": "Property: yours, to recognise answers by."
                },
                "timestamp": timestamp("Property: when you made it, in seconds since 1970; may be left out, and nothing is \
                    decided by it."),
                "traceparent": {
                    "type": "string",
                    "description": "Header: W3C trace context; may be left out. It is kept with a message that cannot be \
                        accepted, like all its headers, and is carried no further: events have none."
                }
            }
        }),
    );
    schemas.insert(
        "EventHeaders".to_owned(),
        json!({
            "type": "object",
            "required": ["content_type", "type", "message_id", "timestamp"],
            "properties": {
                "content_type": { "const": "application/json", "description": "Property." },
                "type": { "type": "string", "description": "Property: the event's type." },
                "message_id": {
                    "type": "string",
                    "format": "uuid",
                    "description": "Property: the event's id. The same id is the same event."
                },
                "correlation_id": {
                    "type": "string",
                    "maxLength": 255,
                    "description": "Property, with request.rejected and receipt.conflict: `message_id` of the request, if \
                        it had one of at most 255 bytes."
                },
                "timestamp": timestamp("Property: when the event was published, in seconds since 1970. A repetition has a \
                    later one; when it became true is the body's `time`.")
            }
        }),
    );
    schemas
}
