//! The AsyncAPI document against a real fleet: its example is published as it stands there, and whatever is told about it
//! and its repetitions keeps the document, properties and headers included.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use kassa_tests::listener::{Event, Listener};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, pace, within};

/// A validator of a part of a message.
fn validator(document: &Value, message: &str, part: &str) -> anyhow::Result<jsonschema::Validator> {
    let mut schema = document["components"]["messages"][message][part].clone();
    ensure!(schema.is_object(), "{message} has no {part}");
    schema["components"] = document["components"].clone();
    Ok(jsonschema::draft202012::new(&schema)?)
}

fn check(validator: &jsonschema::Validator, value: &Value) -> anyhow::Result<()> {
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    ensure!(errors.is_empty(), "{errors:?} in {value}");
    Ok(())
}

/// The properties of an example, as a shop's client sets them.
fn properties(headers: &Value, message_id: &str) -> anyhow::Result<BasicProperties> {
    let text = |name: &str| headers[name].as_str().with_context(|| format!("{name} of the example"));
    let mut table = FieldTable::default();
    table.insert("traceparent".into(), AMQPValue::LongString(text("traceparent")?.into()));
    Ok(BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type(text("content_type")?.into())
        .with_type(text("type")?.into())
        .with_message_id(message_id.into())
        .with_timestamp(headers["timestamp"].as_u64().context("timestamp of the example")?)
        .with_headers(table))
}

async fn publish(world: &World, headers: &Value, message_id: &str, payload: &Value) -> anyhow::Result<()> {
    let store = payload["store"].as_str().context("a store")?;
    let properties = properties(headers, message_id)?;
    world
        .shop
        .publish_as(store, payload.to_string().as_bytes(), properties)
        .await
}

#[tokio::test]
async fn the_documents_example_is_accepted_and_everything_that_is_told_keeps_the_document() -> anyhow::Result<()> {
    within("asyncapi", &pace(), async |world| {
        let document = producer::asyncapi();
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let example = &document["components"]["messages"]["receiptRequest"]["examples"][0];
        let (headers, payload) = (&example["headers"], &example["payload"]);
        publish(world, headers, "first", payload).await?;
        let has = |events: &[Event], kind: &str| events.iter().any(|event| event.body["type"] == kind);
        listener.until(LIMIT, |events| has(events, "receipt.done")).await?;

        let mut other = payload.clone();
        other["lines"][0]["name"] = json!("Another mug");
        publish(world, headers, "second", &other).await?;
        let mut wrong = payload.clone();
        wrong["lines"][0]["vat"] = json!("vat19");
        publish(world, headers, "third", &wrong).await?;
        world
            .fleet
            .command(&["account", "pause", "main", "--reason", "made up"])
            .await?;
        world.fleet.command(&["account", "resume", "main"]).await?;
        let wanted = [
            "receipt.accepted",
            "receipt.waiting",
            "receipt.done",
            "receipt.conflict",
            "request.rejected",
            "account.paused",
            "account.resumed",
        ];
        let all = |events: &[Event]| wanted.iter().all(|kind| has(events, kind));
        listener.until(LIMIT, all).await?;

        let (of_headers, of_payload) = (
            validator(&document, "event", "headers")?,
            validator(&document, "event", "payload")?,
        );
        let described = document["components"]["schemas"]["EventHeaders"]["properties"]
            .as_object()
            .context("the described properties")?;
        let types = document["channels"]["events"]["parameters"]["type"]["enum"]
            .as_array()
            .context("types")?;
        for event in &listener.events {
            check(&of_headers, &event.properties)?;
            check(&of_payload, &event.body)?;
            let given = event.properties.as_object().context("properties")?;
            let more: BTreeSet<&String> = given.keys().filter(|name| !described.contains_key(*name)).collect();
            assert!(more.is_empty(), "{more:?} are not in the document");
            let (store, kind) = (&event.body["store"], &event.body["type"]);
            assert!(types.contains(kind), "{kind}");
            let key = format!(
                "{}.{}",
                store.as_str().context("a store")?,
                kind.as_str().context("a type")?
            );
            assert_eq!(event.routing_key, key);
            assert_eq!(
                (&event.properties["type"], &event.properties["message_id"]),
                (kind, &event.body["id"])
            );
            assert_eq!(event.delivery_mode, Some(2), "{key}");
            let answered = match kind.as_str() {
                Some("receipt.conflict") => Some("second"),
                Some("request.rejected") => Some("third"),
                _ => None,
            };
            assert_eq!(event.correlation_id.as_deref(), answered, "{key}");
        }
        // The trace of a message stays with it where a person will look for it.
        let kept: Vec<Value> = sqlx::query_scalar("SELECT headers FROM dead_letters")
            .fetch_all(&world.pool)
            .await?;
        assert_eq!(kept.len(), 2);
        for kept in kept {
            assert_eq!(kept["headers"]["traceparent"], headers["traceparent"], "{kept}");
        }
        Ok(())
    })
    .await
}
