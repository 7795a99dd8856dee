//! A shop in another language, with a stock client and with manners of its own. Each of its messages is registered
//! once, or kept with its bytes and a reason; no process dies of any.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use kassa_tests::fleet::probe;
use kassa_tests::listener::Listener;
use kassa_tests::request::request;
use kassa_tests::{urls, wait};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::world::{LIMIT, World, pace, within};

/// One message of the stranger, and what must become of it.
struct Message {
    key: &'static str,
    body: Vec<u8>,
    properties: Value,
    headers: &'static str,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Registered once, whoever else carries the same marker.
    Registered(&'static str),
    /// In `dead_letters` with this word.
    Kept(&'static str),
}

fn sale(number: &str, marker: &str) -> Vec<u8> {
    request("main", "sell", number, marker).to_string().into_bytes()
}

fn changed(number: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = request("main", "sell", number, number);
    change(&mut body);
    body.to_string().into_bytes()
}

fn message(key: &'static str, body: Vec<u8>, fate: Fate) -> Message {
    Message {
        key,
        body,
        properties: json!({"type": "receipt.request.v1", "content_type": "application/json", "delivery_mode": 2}),
        headers: "none",
        fate,
    }
}

fn messages() -> Vec<Message> {
    use Fate::{Kept, Registered};

    let spelt_otherwise = serde_json::to_string_pretty(&changed_order())
        .expect("a value")
        .into_bytes();
    let mut oversized = sale("B-1", "B-1");
    oversized.resize(300 * 1024, b' ');
    let mut all = vec![
        message("main", sale("A-1", "A-1"), Registered("A-1")),
        message(
            "second",
            request("second", "refund", "A-2", "A-2").to_string().into_bytes(),
            Registered("A-2"),
        ),
        // The same again, byte by byte, and spelt otherwise: other order, blanks, numbers for strings.
        message("main", sale("A-1", "A-1"), Registered("A-1")),
        message("main", spelt_otherwise, Registered("A-1")),
        // A register prints code page 866: what it lacks has a neighbour, or is left out.
        message("main", sale("A-3", "Чайник «Заря» 🫖"), Registered("Чайник \"Заря\"")),
        // The same document with another content.
        message(
            "main",
            changed("A-1", |body| body["lines"][0]["name"] = json!("Other")),
            Kept("conflict"),
        ),
        message("main", b"{not json".to_vec(), Kept("invalid")),
        message("main", b"[]".to_vec(), Kept("invalid")),
        message("main", b"null".to_vec(), Kept("invalid")),
        message("main", Vec::new(), Kept("invalid")),
        message("main", vec![0xff, 0xfe, 0x00, 0x01], Kept("invalid")),
        message(
            "main",
            [sale("B-2", "B-2"), b"\xc3\x28".to_vec()].concat(),
            Kept("invalid"),
        ),
        message(
            "main",
            changed("B-3", |body| body["customer"]["name"] = json!("a\0b")),
            Kept("invalid"),
        ),
        message("main", vec![b'['; 100_000], Kept("invalid")),
        message("main", oversized, Kept("invalid")),
        message(
            "main",
            changed("B-4", |body| body["colour"] = json!("red")),
            Kept("invalid"),
        ),
        message(
            "main",
            changed("B-5", |body| body["total"] = json!("1199.99")),
            Kept("invalid"),
        ),
        message(
            "main",
            changed("B-6", |body| body["lines"] = json!([])),
            Kept("invalid"),
        ),
        message(
            "main",
            changed("B-7", |body| body["document"]["number"] = json!("7/\u{202e}x")),
            Kept("invalid"),
        ),
        // Routing key and body disagree.
        message("second", sale("B-8", "B-8"), Kept("invalid")),
        message(
            "nobody",
            changed("B-9", |body| body["store"] = json!("nobody")),
            Kept("unknown_store"),
        ),
        message("main", sale("B-10", "B-10"), Kept("unknown_type")),
        // A key that is no store code at all, and one as long as a key may be.
        message("a.b.c#*", sale("B-11", "B-11"), Kept("invalid")),
        message("", sale("B-12", "B-12"), Kept("invalid")),
    ];
    let wrong_type = all.iter_mut().find(|message| message.fate == Kept("unknown_type"));
    wrong_type.expect("above").properties["type"] = json!("order.created.v7");

    for (number, headers, properties) in [
        ("H-1", "none", Value::Null),
        ("H-2", "plain", json!({})),
        (
            "H-3",
            "odd",
            json!({"message_id": "x".repeat(200), "correlation_id": "é", "priority": 9}),
        ),
        (
            "H-4",
            "deep",
            json!({"content_type": "text/plain", "content_encoding": "gzip", "reply_to": "nowhere"}),
        ),
    ] {
        all.push(Message {
            properties,
            headers,
            ..message("main", sale(number, number), Registered(number))
        });
    }
    // Odd headers on what must be kept: they are kept too.
    all.push(Message {
        headers: "odd",
        ..message("main", b"odd".to_vec(), Kept("invalid"))
    });
    all
}

/// What request `A-1` says, in other words.
fn changed_order() -> Value {
    let mut body = request("main", "sell", "A-1", "A-1");
    body["total"] = json!(1200.00);
    body["lines"][0]["quantity"] = json!(2);
    body["lines"][0]["price"] = json!("450");
    body
}

/// Runs the client and returns which messages the broker confirmed.
async fn publish(world: &World, messages: &[Message]) -> anyhow::Result<Vec<bool>> {
    let listed: Vec<Value> = messages
        .iter()
        .map(|message| {
            let hex: String = message.body.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({
                "key": message.key, "body": hex, "properties": message.properties, "headers": message.headers,
            })
        })
        .collect();
    let order = json!({
        "url": urls::amqp_url()?,
        "exchange": format!("{}.requests", world.fleet.prefix),
        "messages": listed,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/publish.py");
    let mut client = Command::new(python().await?)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = client.stdin.take().context("a pipe")?;
    input.write_all(order.to_string().as_bytes()).await?;
    drop(input);
    let output = tokio::time::timeout(LIMIT, client.wait_with_output()).await??;
    ensure!(
        output.status.success(),
        "the client failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The first Python that has pika. Debian's package belongs to Debian's own interpreter, which need not be the first.
async fn python() -> anyhow::Result<&'static str> {
    for candidate in ["python3", "/usr/bin/python3"] {
        let mut check = Command::new(candidate);
        check.args(["-c", "import pika"]).stderr(Stdio::null());
        if check.status().await.is_ok_and(|status| status.success()) {
            return Ok(candidate);
        }
    }
    anyhow::bail!("this test publishes with Python and pika; install them: apt-get install python3-pika")
}

#[tokio::test]
async fn each_message_of_a_stranger_is_registered_once_or_kept_with_its_bytes_and_a_reason() -> anyhow::Result<()> {
    within("strangers", &pace(), async |world| {
        let mut sender = world.sender("sender").await?;
        let mut poller = world.poller("poller").await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let messages = messages();
        let confirmed = publish(world, &messages).await?;
        assert!(confirmed.iter().all(|confirmed| *confirmed), "the broker took every message: {confirmed:?}");

        let mut markers = Vec::new();
        let mut kept = Vec::new();
        for message in &messages {
            match message.fate {
                Fate::Registered(marker) => markers.push(marker),
                Fate::Kept(reason) => kept.push((reason.to_owned(), message.body.clone())),
            }
        }
        markers.sort_unstable();
        markers.dedup();
        kept.sort();
        let count = i64::try_from(markers.len())?;
        world.until_done(count).await?;
        let what = format!("{} dead letters", kept.len());
        wait::until(&what, LIMIT, async || {
            Ok((world.dead_letters().await?.len() >= kept.len()).then_some(()))
        })
        .await?;

        let books = world.books();
        let registered: Vec<(&str, u32)> = books.registered_by_marker().into_iter().collect();
        let mut once: Vec<(&str, u32)> = markers.iter().map(|marker| (*marker, 1)).collect();
        once.sort_unstable();
        assert_eq!(registered, once);
        let mut found = world.dead_letters().await?;
        found.sort();
        let brief = |letters: &[(String, Vec<u8>)]| -> Vec<String> {
            letters
                .iter()
                .map(|(reason, body)| format!("{reason}: {} bytes {:?}", body.len(), &body[..body.len().min(24)]))
                .collect()
        };
        assert_eq!(brief(&found), brief(&kept));
        assert!(found == kept, "a body has other bytes");
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions").fetch_one(&world.pool).await?;
        assert_eq!(rows, count);

        // Each reason is for people, in both languages, and the shop is told.
        let unexplained: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM dead_letters WHERE coalesce(reason ->> 'detail', '') = '' OR jsonb_typeof(headers) <> 'object'",
        )
        .fetch_one(&world.pool)
        .await?;
        assert_eq!(unexplained, 0);
        let told = kept.len();
        listener
            .until(LIMIT, |events| {
                let of_them = events.iter().filter(|event| {
                    event.routing_key.ends_with("request.rejected") || event.routing_key.ends_with("receipt.conflict")
                });
                of_them.count() >= told
            })
            .await?;

        for process in [&mut sender, &mut poller] {
            assert!(process.runs()?, "{} has died:\n{}", process.name, process.log());
            assert_eq!(probe(process, "readyz").await?, Some(200), "{}", process.name);
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
        assert_eq!(world.depth("intake").await?, 0);
        assert_eq!(world.depth("dead").await?, 0);
        Ok(())
    })
    .await
}
