//! Requests that are made up from the OpenAPI document, good and bad: every answer is one that the document has, and none
//! is a mistake of ours. `tests/fuzz-http` does the same at length with a fuzzer of somebody else's.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use fastrand::Rng;
use kassa_tests::request::request;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Caller};
use crate::world::{pace, within};

const REQUESTS: usize = 400;
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
        for name in ["Receipt", "History", "Page", "Problem"] {
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

fn body(rng: &mut Rng, operation: &Operation) -> String {
    let mut body = match operation.what["operationId"].as_str() {
        Some("submitReceipt") => {
            let number = rng.u8(..30).to_string();
            let store = if rng.bool() { "main" } else { "second" };
            request(store, if rng.bool() { "sell" } else { "refund" }, &number, &number)
        }
        Some("cancelReceipt") => json!({ "reason": "made up" }),
        Some("resolveReceipt") => json!({
            "outcome": if rng.bool() { "registered" } else { "not_registered" },
            "fn": "9999078902003456", "fd": "4160", "fpd": "3522207165", "reason": "made up",
        }),
        _ => Value::Null,
    };
    for _ in 0..rng.u8(..3) {
        spoil(rng, &mut body);
    }
    let body = body.to_string();
    match rng.u8(..14) {
        0 => body.chars().take(rng.usize(..60)).collect(),
        1 => "[".repeat(rng.usize(1..100_000)),
        2 => body.replacen('{', "{\"store\":\"main\",\"store\":1e999,", 1),
        3 => format!("{body}{body}"),
        4 => " ".repeat(300 * 1024),
        5 => body.replace("1200.00", "1e1000000"),
        _ => body,
    }
}

/// One request of the operation, with what the document lets it have and some more.
async fn ask(rng: &mut Rng, caller: &Caller, operation: &Operation, ids: &[String]) -> anyhow::Result<Answer> {
    let id = match rng.u8(..5) {
        0 => "019ab1c2-3d4e-7f60-8a1b-2c3d4e5f6071".to_owned(),
        1 => "%00%ff".to_owned(),
        _ => rng.choice(ids).context("an id")?.clone(),
    };
    let mut path = operation.path.replace("{id}", &id);
    let mut headers = reqwest::header::HeaderMap::new();
    for parameter in operation.what["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().context("a name")?;
        if rng.u8(..4) > 0 {
            continue;
        }
        let given = text(rng);
        match parameter["in"].as_str() {
            Some("query") => {
                let encoded: String = given.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let separator = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{separator}{name}={encoded}");
            }
            Some("header") => {
                let name: reqwest::header::HeaderName = name.parse()?;
                if let Ok(given) = reqwest::header::HeaderValue::from_bytes(given.as_bytes()) {
                    headers.insert(name, given);
                }
            }
            _ => {}
        }
    }
    let mut request = caller.request(operation.method.clone(), &path).headers(headers);
    if operation.method == Method::POST {
        if rng.u8(..3) > 0 {
            request = request.header("if-match", "*");
        }
        let kind = if rng.u8(..10) == 0 {
            "text/plain"
        } else {
            "application/json"
        };
        request = request.header("content-type", kind).body(body(rng, operation));
    }
    // A body that is too long is answered unread, which ends its connection; nobody may find it in a pool.
    let request = request.header("connection", "close");
    let again = request.try_clone().context("a request of bytes")?;
    match caller.answer(request).await {
        Ok(answer) => Ok(answer),
        // The end may overtake the answer.
        Err(_) => caller.answer(again).await,
    }
}

#[tokio::test]
async fn every_answer_to_whatever_is_asked_is_in_the_document() -> anyhow::Result<()> {
    within("httpfuzz", &pace(), async |world| {
        let listen = world.fleet.public.to_string();
        let settings = [
            ("KASSA_HTTP__LISTEN", listen.as_str()),
            ("KASSA_HTTP__KEY_RATE", "10000"),
        ];
        let mut http = world.fleet.start_with("http", &["http"], &settings).await?;
        let caller = world
            .caller(&["submit", "read", "contacts", "act", "resolve"], &[])
            .await?;
        let served = caller.answer(caller.request(Method::GET, "/openapi.json")).await?;
        assert_eq!(served.body, producer::http::openapi());
        let contract = Contract::of(served.body)?;
        let operations = contract.operations()?;
        let mut ids = Vec::new();
        for number in ["417", "R-1"] {
            let post = caller.request(Method::POST, "/v1/receipts");
            let accepted = caller
                .answer(post.json(&request("main", "sell", number, number)))
                .await?;
            ids.push(accepted.body["id"].as_str().context("an id")?.to_owned());
        }

        let mut rng = Rng::with_seed(SEED);
        let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
        for number in 0..REQUESTS {
            let operation = rng.choice(&operations).context("an operation")?;
            let answer = ask(&mut rng, &caller, operation, &ids).await?;
            *seen.entry(answer.status).or_default() += 1;
            let checked = contract.check(operation, &answer);
            checked.with_context(|| format!("request {number}: {} {}", operation.method, operation.path))?;
        }
        assert!(http.runs()?, "the process has ended");
        let log = http.log();
        assert!(!log.contains("panicked"), "{log}");
        // The requests were worth something: some got through, and others were refused in several ways.
        for status in [200, 202, 400, 404, 409, 413, 415, 422] {
            assert!(seen.contains_key(&status), "{seen:?}");
        }
        Ok(())
    })
    .await
}
