//! Requests that are made up from the OpenAPI document, good and bad: every answer is one that the document has, and none
//! is a mistake of ours. `tests/fuzz-http` does the same with a fuzzer of somebody else's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use fastrand::Rng;
use futures_util::{StreamExt, TryStreamExt};
use kassa_tests::fleet::Pace;
use kassa_tests::request::request;
use kassa_tests::vendor::client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use simulator::{Action, ErrorAnswer, Point, Rule};
use uuid::Uuid;

use crate::http::{Answer, Caller};
use crate::world::{World, pace, within};

const REQUESTS: usize = 2000;
/// Made up one after the other, then asked at the same time.
const AT_ONCE: usize = 10;
const SEED: u64 = 417;

/// The document, and a validator for each answer that it has.
struct Contract {
    document: Value,
    validators: BTreeMap<String, jsonschema::Validator>,
}

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    what: Value,
}

impl Contract {
    fn of(document: Value) -> anyhow::Result<Self> {
        let mut validators = BTreeMap::new();
        for name in ["Receipt", "History", "Page", "Problem", "Resell"] {
            let mut schema = document["components"]["schemas"][name].clone();
            ensure!(schema.is_object(), "{name} is in the document");
            schema["components"] = document["components"].clone();
            validators.insert(
                format!("#/components/schemas/{name}"),
                jsonschema::draft202012::new(&schema)?,
            );
        }
        Ok(Self { document, validators })
    }

    fn operations(&self) -> anyhow::Result<Vec<Operation>> {
        let mut operations = Vec::new();
        for (path, methods) in self.document["paths"].as_object().context("paths")? {
            for (method, what) in methods.as_object().context("methods")? {
                operations.push(Operation {
                    method: method.to_uppercase().parse()?,
                    path: path.clone(),
                    what: what.clone(),
                });
            }
        }
        Ok(operations)
    }

    fn check(&self, operation: &Operation, answer: &Answer) -> anyhow::Result<()> {
        ensure!(answer.status < 500, "{}", answer.body);
        let described = &operation.what["responses"][answer.status.to_string()];
        ensure!(
            described.is_object(),
            "{} is not in the document: {}",
            answer.status,
            answer.body
        );
        let given = answer
            .headers
            .get("content-type")
            .map(|kind| kind.to_str())
            .transpose()?;
        let content = described["content"].as_object().context("a content")?;
        let (media, content) = content.iter().next().context("a content")?;
        ensure!(given == Some(media), "{given:?} instead of {media}");
        let Some(name) = content["schema"]["$ref"].as_str() else {
            return Ok(());
        };
        let validator = self
            .validators
            .get(name)
            .with_context(|| format!("{name} is unknown here"))?;
        let errors: Vec<String> = validator
            .iter_errors(&answer.body)
            .map(|error| error.to_string())
            .collect();
        ensure!(errors.is_empty(), "{errors:?} in {}", answer.body);
        Ok(())
    }
}

/// Times, and what looks like one.
const TIMES: [&str; 12] = [
    "2026-11-24T00:00:00Z",
    "2026-11-24T10:00:00",
    "2026-11-24T00:00:00+03:00[Europe/Moscow]",
    "0000-01-01T00:00:00Z",
    "-005000-01-01T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "9999-12-31T23:59:59",
    "+275760-09-13T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-24T23:59:60Z",
    "infinity",
];

/// A text that somebody may have meant, or one that nobody has.
fn text(rng: &mut Rng) -> String {
    const WORDS: [&str; 18] = [
        "",
        " ",
        "main",
        "second",
        "done",
        "sell",
        "417",
        "R-1",
        "buyer@example.org",
        "+79001234567",
        "*",
        "\"0\"",
        "50",
        "2026-11-24T00:00:00Z",
        "-1",
        "1e309",
        "99999999999999999999",
        "\u{1F9FE}",
    ];
    match rng.u8(..10) {
        0 => (0..rng.usize(..40)).map(|_| rng.char(..)).collect(),
        1 => "x".repeat(rng.usize(..3000)),
        2 => "a\0b".to_owned(),
        _ => rng.choice(WORDS).unwrap_or_default().to_owned(),
    }
}

fn value(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth > 4 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(rng.i64(..)),
        3 => json!(1e300),
        4 => json!(text(rng)),
        5 => (0..rng.usize(..4)).map(|_| value(rng, depth + 1)).collect(),
        _ => {
            let fields = (0..rng.usize(..4)).map(|_| (text(rng), value(rng, depth + 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// Changes some place in it.
fn spoil(rng: &mut Rng, body: &mut Value) {
    let made_up = value(rng, 0);
    match body {
        Value::Object(fields) if !fields.is_empty() && rng.u8(..4) > 0 => {
            let at = rng.usize(..fields.len());
            if let Some(inner) = fields.values_mut().nth(at) {
                spoil(rng, inner);
            }
        }
        Value::Object(fields) if rng.bool() => {
            fields.insert(text(rng), made_up);
        }
        Value::Array(values) if !values.is_empty() && rng.u8(..4) > 0 => {
            let at = rng.usize(..values.len());
            spoil(rng, &mut values[at]);
        }
        other => *other = made_up,
    }
}

fn one_of(rng: &mut Rng, values: &[&str]) -> String {
    rng.choice(values).copied().unwrap_or_default().to_owned()
}

/// What stands in a parameter: mostly what belongs there.
fn parameter(rng: &mut Rng, name: &str) -> String {
    if rng.u8(..4) == 0 {
        return text(rng);
    }
    match name {
        "store" => one_of(rng, &["main", "second", "nowhere"]),
        "operation" => one_of(rng, &["sell", "refund", "resell_refund", "resell_sell"]),
        "state" => one_of(rng, &["held", "waiting", "done", "unknown", "failed", "cancelled"]),
        "from" | "to" => one_of(rng, &TIMES),
        "limit" => rng.u8(..=201).to_string(),
        "document" => one_of(rng, &["1", "2", "done-1", "held-1"]),
        "order" => one_of(rng, &["order 1", "order done-1"]),
        "external_id" => one_of(rng, &["invoice_main_done-1", "INVOICE_main_1"]),
        "contact" => one_of(rng, &["buyer@example.org", "8 900 123-45-67"]),
        "Prefer" => one_of(rng, &["wait=0", "wait=1", "wait=99999999999999999999"]),
        "Idempotency-Key" => one_of(rng, &["k-1", "\"k-2\"", ""]),
        "If-Match" => if_match(rng),
        _ => text(rng),
    }
}

fn if_match(rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => "*".to_owned(),
        _ => format!("\"{}\"", rng.u8(..6)),
    }
}

/// A body as it should be.
fn good_body(rng: &mut Rng, operation: &Operation) -> Value {
    match operation.what["operationId"].as_str() {
        Some("submitReceipt") => {
            let number = rng.u8(..30).to_string();
            let store = if rng.bool() { "main" } else { "second" };
            request(store, if rng.bool() { "sell" } else { "refund" }, &number, &number)
        }
        Some("cancelReceipt") => json!({ "reason": "made up" }),
        Some("resendReceipt" | "resellReceipt") => match rng.u8(..4) {
            0 => json!({}),
            1 => json!({ "next_id": null, "reason": null }),
            2 => json!({ "next_id": true, "reason": "made up" }),
            _ => json!({ "next_id": false }),
        },
        Some("resolveReceipt") if rng.bool() => json!({ "outcome": "not_registered", "reason": "made up" }),
        Some("resolveReceipt") => {
            let mut found = json!({
                "outcome": "registered", "fn": "9999078902003456", "fd": rng.u32(1..4).to_string(), "fpd": "3522207165",
            });
            if rng.bool() {
                found["registered_at"] = json!(one_of(rng, &TIMES));
            }
            if rng.bool() {
                found["total"] = json!(one_of(rng, &["1200.00", "1.00", "-1", "99999999999999999999.99"]));
            }
            found
        }
        _ => Value::Null,
    }
}

fn body(rng: &mut Rng, operation: &Operation) -> String {
    let mut body = good_body(rng, operation);
    if rng.bool() {
        for _ in 0..rng.u8(..3) {
            spoil(rng, &mut body);
        }
    }
    let body = body.to_string();
    match rng.u8(..24) {
        0 => body.chars().take(rng.usize(..60)).collect(),
        1 => "[".repeat(rng.usize(1..100_000)),
        2 => body.replacen('{', "{\"store\":\"main\",\"store\":1e999,", 1),
        3 => format!("{body}{body}"),
        4 => " ".repeat(300 * 1024),
        5 => body.replace("1200.00", "1e1000000"),
        _ => body,
    }
}

/// Who asks: mostly somebody who may do everything.
fn caller<'a>(rng: &mut Rng, callers: &'a Callers) -> &'a Caller {
    match rng.u8(..12) {
        0 => &callers.scoped,
        1 => &callers.reader,
        2 => &callers.nobody,
        _ => &callers.all,
    }
}

struct Callers {
    all: Caller,
    /// Of another store than most receipts are of.
    scoped: Caller,
    reader: Caller,
    /// Whose key there is not.
    nobody: Caller,
}

impl Callers {
    async fn make(world: &World) -> anyhow::Result<Self> {
        let everything = ["submit", "read", "contacts", "act", "resolve"];
        let all = world.caller(&everything, &[]).await?;
        Ok(Self {
            scoped: world.caller(&everything, &["second"]).await?,
            reader: world.caller(&["read"], &[]).await?,
            nobody: Caller {
                key: format!("kassa_0123456789ab_{}", "0".repeat(64)),
                ..all.clone()
            },
            all,
        })
    }
}

/// One request of the operation, with what the document lets it have and some more.
fn ask(rng: &mut Rng, callers: &Callers, operation: &Operation, ids: &[Uuid]) -> anyhow::Result<RequestBuilder> {
    let id = match rng.u8(..12) {
        0 => "019ab1c2-3d4e-7f60-8a1b-2c3d4e5f6071".to_owned(),
        1 => "%00%ff".to_owned(),
        _ => rng.choice(ids).context("an id")?.to_string(),
    };
    let mut path = operation.path.replace("{id}", &id);
    let mut headers = HeaderMap::new();
    for parameter_of_it in operation.what["parameters"].as_array().into_iter().flatten() {
        let name = parameter_of_it["name"].as_str().context("a name")?;
        let is_left_out = if name == "If-Match" {
            rng.u8(..6) == 0
        } else {
            rng.u8(..4) > 0
        };
        if is_left_out {
            continue;
        }
        let given = parameter(rng, name);
        match parameter_of_it["in"].as_str() {
            Some("query") => {
                let encoded: String = given.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let separator = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{separator}{name}={encoded}");
            }
            Some("header") => {
                let name: HeaderName = name.parse()?;
                if let Ok(given) = HeaderValue::from_bytes(given.as_bytes()) {
                    headers.insert(name, given);
                }
            }
            _ => {}
        }
    }
    let mut request = if rng.u8(..30) == 0 {
        // Not even a key.
        let url = format!("http://{}{path}", callers.all.address());
        client()?.request(operation.method.clone(), url)
    } else {
        caller(rng, callers).request(operation.method.clone(), &path)
    };
    request = request.headers(headers).timeout(Duration::from_secs(60));
    if operation.method == Method::POST {
        let kind = if rng.u8(..20) == 0 {
            "text/plain"
        } else {
            "application/json"
        };
        request = request.header("content-type", kind).body(body(rng, operation));
    }
    // A body that is too long is answered unread, which ends its connection; nobody may find it in a pool.
    Ok(request.header("connection", "close"))
}

async fn answer(caller: &Caller, request: RequestBuilder) -> anyhow::Result<Answer> {
    let again = request.try_clone().context("a request of bytes")?;
    match caller.answer(request).await {
        Ok(answer) => Ok(answer),
        // The end may overtake the answer.
        Err(_) => caller.answer(again).await,
    }
}

/// Receipts in every state in which something can be done, and a resell of which a half has failed.
async fn prepare(world: &World) -> anyhow::Result<()> {
    let refuse = |code: i64, marker: &str| {
        Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("driver", code))).for_marker(marker)
    };
    let failing = ["failed-1", "failed-2"].map(|marker| refuse(128, marker));
    let doubtful = ["unknown-1", "unknown-2", "unknown-3"].map(|marker| refuse(3, marker));
    let slow = ["waiting-1", "waiting-2"].map(|marker| {
        Rule::new(Point::Processing, Action::Nothing)
            .delayed(Duration::from_secs(3600))
            .for_marker(marker)
    });
    world.faults(failing.into_iter().chain(doubtful).chain(slow).collect())?;
    let prepared = [
        ("done", 4, "sell"),
        ("failed", 2, "sell"),
        ("unknown", 3, "sell"),
        ("waiting", 2, "sell"),
        ("held", 2, "refund"),
    ];
    for (state, count, operation) in prepared {
        for number in 1..=count {
            world.publish(operation, &format!("{state}-{number}")).await?;
        }
    }
    for (state, count, _) in prepared {
        for number in 1..=count {
            world.until_state(&format!("{state}-{number}"), state).await?;
        }
    }
    // What the vendor refuses from here on makes the first half of this resell fail.
    world.faults(vec![
        refuse(128, "done-1"),
        refuse(128, "failed-1"),
        refuse(3, "unknown-1"),
        Rule::new(Point::Processing, Action::Nothing)
            .delayed(Duration::from_secs(3600))
            .for_marker("waiting-1"),
    ])?;
    world.fleet.command(&["resell", "done-1"]).await?;
    world.fleet.command(&["resell", "done-2"]).await?;
    world.until_row("done-1", |row| row.operation == "resell_sell").await?;
    Ok(())
}

#[tokio::test]
async fn every_answer_to_whatever_is_asked_is_in_the_document() -> anyhow::Result<()> {
    let by_hand = Pace {
        stores: "auto_send_creditmemo = false",
        ..pace()
    };
    within("httpfuzz", &by_hand, async |world| {
        let listen = world.fleet.public.to_string();
        let settings = [
            ("KASSA_HTTP__LISTEN", listen.as_str()),
            ("KASSA_HTTP__KEY_RATE", "10000"),
        ];
        let mut all = world.fleet.start_with("all", &["all"], &settings).await?;
        let callers = Callers::make(world).await?;
        let served = callers.all.request(Method::GET, "/openapi.json");
        let served = callers.all.answer(served).await?;
        assert_eq!(served.body, producer::http::openapi());
        let contract = Contract::of(served.body)?;
        let operations = contract.operations()?;
        prepare(world).await?;

        let mut rng = Rng::with_seed(SEED);
        let mut seen: BTreeMap<(String, u16), usize> = BTreeMap::new();
        for round in 0..REQUESTS / AT_ONCE {
            let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM transactions ORDER BY id")
                .fetch_all(&world.pool)
                .await?;
            let mut asked = Vec::new();
            for _ in 0..AT_ONCE {
                let operation = rng.choice(&operations).context("an operation")?;
                asked.push((operation, ask(&mut rng, &callers, operation, &ids)?));
            }
            let answers: Vec<(&Operation, Answer)> = futures_util::stream::iter(asked)
                .map(async |(operation, request)| {
                    let answer = answer(&callers.all, request).await?;
                    anyhow::Ok((operation, answer))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            for (operation, answer) in &answers {
                let name = operation.what["operationId"].as_str().unwrap_or_default();
                *seen.entry((name.to_owned(), answer.status)).or_default() += 1;
                let checked = contract.check(operation, answer);
                checked.with_context(|| format!("round {round}: {} {}", operation.method, operation.path))?;
            }
        }
        assert!(all.runs()?, "the process has ended");
        let log = all.log();
        assert!(!log.contains("panicked"), "{log}");
        // The requests were worth something: every action was done, and refused in every way that it has.
        let action = [200, 401, 403, 404, 409, 412, 413, 415, 422, 428];
        for (name, statuses) in [
            ("submitReceipt", vec![200, 202, 400, 401, 403, 409, 413, 415, 422]),
            ("listReceipts", vec![200, 400, 401, 403]),
            ("readReceipt", vec![200, 401, 404]),
            ("cancelReceipt", action.to_vec()),
            ("resendReceipt", action.to_vec()),
            ("resolveReceipt", action.to_vec()),
            ("resellReceipt", vec![202, 401, 403, 404, 409, 412, 413, 415, 422, 428]),
            ("refreshReceipt", vec![202, 401, 403, 404, 409, 412]),
        ] {
            for status in statuses {
                assert!(
                    seen.contains_key(&(name.to_owned(), status)),
                    "{name} {status}: {seen:?}"
                );
            }
        }
        // Whatever was asked, and at once: no key at the vendor has two documents.
        for document in world.books().documents {
            assert!(document.registered <= 1, "{}", document.external_id);
        }
        Ok(())
    })
    .await
}
