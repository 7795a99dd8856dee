//! The HTTP API on a real fleet: from a shop's POST to the fiscal document, and what keys, repetitions, kills and people
//! make of it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use kassa_tests::fleet::Pace;
use kassa_tests::proxy::Flow;
use kassa_tests::request::{BUYER, request};
use kassa_tests::vendor::client;
use kassa_tests::wait;
use reqwest::header::{ETAG, HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

/// Somebody with a key.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) key: String,
    pub(crate) key_id: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    fn id(&self) -> anyhow::Result<String> {
        Ok(self.body["id"].as_str().context("an id")?.to_owned())
    }

    fn tag(&self) -> anyhow::Result<String> {
        Ok(self.headers.get(ETAG).context("a tag")?.to_str()?.to_owned())
    }
}

impl World {
    /// Makes a key with these rights for these stores; none is every store.
    pub(crate) async fn caller(&self, rights: &[&str], stores: &[&str]) -> anyhow::Result<Caller> {
        let mut arguments = vec!["key", "add", "shop", "--output", "json"];
        for right in rights {
            arguments.extend(["--right", right]);
        }
        for store in stores {
            arguments.extend(["--store", store]);
        }
        if stores.is_empty() {
            arguments.push("--all-stores");
        }
        let printed: Value = serde_json::from_str(&self.fleet.command(&arguments).await?)?;
        let text = |name: &str| printed[name].as_str().map(ToOwned::to_owned).context("a text");
        Ok(Caller {
            http: client()?,
            base: format!("http://{}", self.fleet.public),
            key: text("key")?,
            key_id: text("id")?,
        })
    }
}

impl Caller {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key)
            .timeout(Duration::from_secs(30))
    }

    /// `host:port` of whom it asks.
    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.answer(self.request(Method::GET, path)).await
    }

    async fn submit(&self, body: &Value) -> anyhow::Result<Answer> {
        self.answer(self.request(Method::POST, "/v1/receipts").json(body)).await
    }

    async fn act(&self, id: &str, action: &str, tag: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self
            .request(Method::POST, &format!("/v1/receipts/{id}/{action}"))
            .header("if-match", tag);
        self.answer(request.json(body)).await
    }

    /// The ids of a list.
    async fn ids(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.get(&format!("/v1/receipts?{query}")).await?;
        ensure!(answer.status == 200, "{query}: {}", answer.body);
        let items = answer.body["items"].as_array().context("items")?;
        Ok(items
            .iter()
            .filter_map(|item| item["id"].as_str().map(ToOwned::to_owned))
            .collect())
    }
}

fn sale(number: &str) -> Value {
    request("main", "sell", number, number)
}

const EVERYTHING: [&str; 5] = ["submit", "read", "contacts", "act", "resolve"];

#[tokio::test]
async fn a_receipt_goes_from_http_to_its_fiscal_document_once() -> anyhow::Result<()> {
    within("http", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let shop = world.caller(&["submit", "read"], &["main"]).await?;
        let first = shop.submit(&sale("417")).await?;
        assert_eq!(first.status, 202, "{}", first.body);
        assert_eq!(first.body["state"], "queued");
        let id = first.id()?;
        let place = first.headers.get(LOCATION).context("a place")?.to_str()?;
        assert_eq!(place, format!("/v1/receipts/{id}"));

        let _all = world.all().await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.id.to_string(), id);
        let read = shop.get(place).await?;
        assert_eq!((read.status, &read.body["state"]), (200, &json!("done")));
        assert_eq!(read.body["fiscal"]["fd"], json!(row.fd));
        let told: Vec<&Value> = read.body["events"].as_array().context("events")?.iter().collect();
        assert_eq!(
            told.first().map(|event| &event["type"]),
            Some(&json!("receipt.accepted"))
        );
        assert_eq!(told.last().map(|event| &event["type"]), Some(&json!("receipt.done")));
        assert!(!read.body.to_string().contains(BUYER), "the key may not see the buyer");

        // The spelling of a number makes no other document of it.
        let mut again = sale("417");
        again["total"] = json!(1200);
        let again = shop.submit(&again).await?;
        assert_eq!((again.status, again.id()?), (200, id.clone()));
        let mut other = sale("417");
        other["lines"][0]["name"] = json!("Another mug");
        let conflict = shop.submit(&other).await?;
        assert_eq!((conflict.status, &conflict.body["code"]), (409, &json!("conflict")));
        assert_eq!(conflict.body["transaction_id"], json!(id));

        let waiting = shop.request(Method::POST, "/v1/receipts").header("prefer", "wait=10");
        let settled = shop.answer(waiting.json(&sale("418"))).await?;
        assert_eq!(settled.status, 201, "{}", settled.body);
        assert_eq!(settled.body["state"], "done");
        assert_eq!(settled.headers["preference-applied"], "wait=10");
        world.assert_done_once("418").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_that_dies_between_commit_and_answer_is_answered_for_by_the_next() -> anyhow::Result<()> {
    within("httpkill", &pace(), async |world| {
        let mut http = world.fleet.start_http("http").await?;
        let shop = world.caller(&["submit", "read"], &[]).await?;
        // Nobody sends it, so the answer waits after the commit.
        let waiting = shop.request(Method::POST, "/v1/receipts").header("prefer", "wait=10");
        let (answer, killed) = tokio::join!(shop.answer(waiting.json(&sale("417"))), async {
            wait::until("the commit", LIMIT, async || world.row("417").await).await?;
            http.kill().await
        });
        killed?;
        assert!(answer.is_err(), "there was an answer");
        let row = world.the_row("417").await?;

        let _http = world.fleet.start_http("http2").await?;
        let again = shop.submit(&sale("417")).await?;
        assert_eq!((again.status, again.id()?), (200, row.id.to_string()));
        let _all = world.all().await?;
        world.assert_done_once("417").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stop_ends_a_wait_with_an_answer() -> anyhow::Result<()> {
    within("httpstop", &pace(), async |world| {
        let mut http = world.fleet.start_http("http").await?;
        let shop = world.caller(&["submit"], &[]).await?;
        let waiting = shop.request(Method::POST, "/v1/receipts").header("prefer", "wait=10");
        let (answer, stopped) = tokio::join!(shop.answer(waiting.json(&sale("417"))), async {
            wait::until("the commit", LIMIT, async || world.row("417").await).await?;
            http.stop(LIMIT).await
        });
        assert_eq!(answer?.status, 202);
        assert!(stopped?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_reaches_its_own_stores_and_rights_until_it_is_revoked() -> anyhow::Result<()> {
    within("httpkeys", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let main = world.caller(&EVERYTHING, &["main"]).await?;
        let second = world.caller(&EVERYTHING, &["second"]).await?;
        let reader = world.caller(&["read"], &[]).await?;
        let id = main.submit(&sale("417")).await?.id()?;
        let path = format!("/v1/receipts/{id}");

        assert!(main.get(&path).await?.body.to_string().contains(BUYER));
        assert_eq!(second.get(&path).await?.status, 404);
        assert_eq!(
            second.act(&id, "cancel", "*", &json!({ "reason": "x" })).await?.status,
            404
        );
        assert_eq!(second.submit(&sale("418")).await?.status, 403);
        assert_eq!(second.get("/v1/receipts?store=main").await?.status, 403);
        assert!(second.ids("document=417").await?.is_empty());
        assert_eq!(reader.ids("").await?, [id.as_str()]);
        for (answer, right) in [
            (reader.submit(&sale("418")).await?, "submit"),
            (reader.get(&format!("/v1/receipts?contact={BUYER}")).await?, "contacts"),
            (reader.act(&id, "cancel", "*", &json!({ "reason": "x" })).await?, "act"),
            (
                reader
                    .act(&id, "resolve", "*", &json!({ "outcome": "registered" }))
                    .await?,
                "resolve",
            ),
        ] {
            assert_eq!(
                (answer.status, &answer.body["right"]),
                (403, &json!(right)),
                "{}",
                answer.body
            );
        }

        let listed = world.fleet.command(&["key", "list"]).await?;
        assert!(listed.contains(&main.key_id) && !listed.contains(&main.key), "{listed}");
        world.fleet.command(&["key", "revoke", &main.key_id]).await?;
        wait::until("the revocation", LIMIT, async || {
            Ok((main.get(&path).await?.status == 401).then_some(()))
        })
        .await?;
        let again = world.fleet.try_command(&["key", "revoke", &main.key_id]).await?;
        assert_eq!(again.status.code(), Some(3));
        let unknown = world
            .fleet
            .try_command(&["key", "add", "x", "--store", "nowhere"])
            .await?;
        assert_eq!(unknown.status.code(), Some(2));
        let nobody = client()?
            .get(format!("http://{}{path}", world.fleet.public))
            .send()
            .await?;
        assert_eq!(nobody.status(), 401);
        assert_eq!(nobody.headers()["www-authenticate"], "Bearer realm=\"kassa\"");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_its_first_document() -> anyhow::Result<()> {
    within("httpidem", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let shop = world.caller(&["submit"], &[]).await?;
        let submit = |number: &str| {
            let request = shop
                .request(Method::POST, "/v1/receipts")
                .header("idempotency-key", "\"k-1\"");
            shop.answer(request.json(&sale(number)))
        };
        assert_eq!(submit("417").await?.status, 202);
        assert_eq!(submit("417").await?.status, 200);
        let reused = submit("418").await?;
        assert_eq!((reused.status, &reused.body["code"]), (422, &json!("key_reused")));
        assert!(world.row("418").await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn lists_find_a_receipt_by_everything_that_people_know_of_it_page_by_page() -> anyhow::Result<()> {
    within("httplist", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let shop = world.caller(&EVERYTHING, &[]).await?;
        for number in ["1", "2", "3"] {
            shop.submit(&sale(number)).await?;
        }
        let mut refund = request("second", "refund", "R-1", "R-1");
        refund["customer"] = json!({ "phone": "+7 900 123-45-67" });
        shop.submit(&refund).await?;
        world.until_done(4).await?;
        let row = world.assert_done_once("2").await?;
        let (id, uuid) = (row.id.to_string(), row.vendor_uuid.context("a uuid")?);
        for query in [
            "document=2",
            "order=order%202",
            "external_id=INVOICE_main_2",
            &format!("vendor_uuid={uuid}"),
            &format!("document=2&contact={BUYER}&state=done&operation=sell&store=main"),
        ] {
            assert_eq!(shop.ids(query).await?, [id.as_str()], "{query}");
        }
        assert!(shop.ids("document=2&order=order%203").await?.is_empty());
        let refunds = shop.ids("operation=refund").await?;
        assert_eq!(refunds.len(), 1);
        assert_eq!(shop.ids("contact=89001234567").await?, refunds);
        assert_eq!(shop.ids("store=second&state=done").await?, refunds);
        assert_eq!(shop.ids("contact=Buyer@Example.org").await?.len(), 3);
        assert!(shop.ids("state=failed&state=unknown").await?.is_empty());
        assert_eq!(shop.ids("from=2026-01-01T00:00:00Z").await?.len(), 4);
        assert!(shop.ids("to=2026-01-01T00:00:00Z").await?.is_empty());

        let mut found = Vec::new();
        let mut path = "/v1/receipts?limit=3".to_owned();
        loop {
            let page = shop.get(&path).await?;
            let items = page.body["items"].as_array().context("items")?;
            found.extend(items.iter().map(|item| item["id"].to_string()));
            let Some(link) = page.headers.get("link") else { break };
            let link = link.to_str()?;
            path = link[1..link.find('>').context("a target")?].to_owned();
        }
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.is_sorted_by(|one, other| one > other), "newest first: {found:?}");

        for bad in ["from=-005000-01-01T00:00:00Z", "to=-009999-01-02T01:59:59Z"] {
            assert_eq!(shop.get(&format!("/v1/receipts?{bad}")).await?.status, 400, "{bad}");
        }
        let wrong = shop.get("/v1/receipts?state=lost&limit=0&page=2").await?;
        assert_eq!(
            (wrong.status, wrong.body["errors"].as_array().map(Vec::len)),
            (400, Some(3))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_cancels_over_http_what_was_looked_at_and_nothing_else() -> anyhow::Result<()> {
    within("httpcancel", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        let accepted = person.submit(&sale("417")).await?;
        let (id, tag) = (accepted.id()?, accepted.tag()?);
        let why = json!({ "reason": "ordered twice" });
        let unseen = person.request(Method::POST, &format!("/v1/receipts/{id}/cancel"));
        assert_eq!(person.answer(unseen.json(&why)).await?.status, 428);
        assert_eq!(person.act(&id, "cancel", "\"99\"", &why).await?.status, 412);
        assert_eq!(
            person.act(&id, "cancel", &tag, &json!({ "reason": " " })).await?.status,
            422
        );
        assert_eq!(
            person.act(&id, "cancel", &tag, &json!({ "why": "x" })).await?.status,
            422
        );
        let asked = person.act(&id, "refresh", &tag, &Value::Null).await?;
        assert_eq!((asked.status, &asked.body["state"]), (409, &json!("queued")));
        let not_registered = json!({ "outcome": "not_registered", "reason": "x" });
        assert_eq!(person.act(&id, "resolve", &tag, &not_registered).await?.status, 409);

        let closed = person.act(&id, "cancel", &tag, &why).await?;
        assert_eq!(
            (closed.status, &closed.body["state"]),
            (200, &json!("cancelled")),
            "{}",
            closed.body
        );
        assert_eq!(person.act(&id, "cancel", &tag, &why).await?.status, 412);
        let again = person.act(&id, "cancel", &closed.tag()?, &why).await?;
        assert_eq!((again.status, &again.body["code"]), (409, &json!("refused")));
        let read = person.get(&format!("/v1/receipts/{id}")).await?;
        let action = &read.body["actions"][0];
        assert_eq!(action["actor"], json!(format!("shop (key {})", person.key_id)));
        assert_eq!(action["reason"], "ordered twice");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_sends_and_resells_over_http_what_may_be_and_nothing_else() -> anyhow::Result<()> {
    let by_hand = Pace {
        stores: "auto_send_invoice = false",
        ..pace()
    };
    within("httpresell", &by_hand, async |world| {
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        let accepted = person.submit(&sale("417")).await?;
        let (id, tag) = (accepted.id()?, accepted.tag()?);
        assert_eq!(accepted.body["state"], "held");
        let nothing = json!({});
        let early = person.act(&id, "resell", &tag, &nothing).await?;
        assert_eq!(
            (early.status, &early.body["state"]),
            (409, &json!("held")),
            "{}",
            early.body
        );
        let next = person.act(&id, "resend", &tag, &json!({ "next_id": true })).await?;
        assert_eq!(next.status, 409, "nothing proves its key dead: {}", next.body);
        assert_eq!(person.act(&id, "resend", "\"99\"", &nothing).await?.status, 412);
        assert_eq!(
            person.act(&id, "resend", &tag, &json!({ "force": true })).await?.status,
            422
        );
        let sent = person.act(&id, "resend", &tag, &json!({ "reason": "paid" })).await?;
        assert_eq!(
            (sent.status, &sent.body["state"]),
            (200, &json!("queued")),
            "{}",
            sent.body
        );
        world.until_state("417", "done").await?;

        assert_eq!(
            person.act(&id, "resend", "*", &nothing).await?.status,
            409,
            "it is registered"
        );
        let path = format!("/v1/receipts/{id}");
        let tag = person.get(&path).await?.tag()?;
        let unseen = person.act(&id, "resell", "*", &nothing).await?;
        assert_eq!(unseen.status, 428, "nothing begins unseen: {}", unseen.body);
        assert_eq!(person.act(&id, "resell", "\"99\"", &nothing).await?.status, 412);
        let begun = person.act(&id, "resell", &tag, &json!({ "next_id": null })).await?;
        assert_eq!(
            (begun.status, &begun.body["result"]),
            (202, &json!("started")),
            "{}",
            begun.body
        );
        let (refund, sell) = (&begun.body["refund"]["id"], &begun.body["sell"]["id"]);
        let sell_id = sell.as_str().context("an id")?.to_owned();
        wait::until("the new sale", LIMIT, async || {
            let read = person.get(&format!("/v1/receipts/{sell_id}")).await?;
            Ok((read.body["state"] == "done").then_some(()))
        })
        .await?;
        // As it was sent, by somebody who never had an answer: long after its end it is told and doubles nothing.
        for tag in [tag.as_str(), "*"] {
            let again = person.act(&id, "resell", tag, &nothing).await?;
            assert_eq!(
                (again.status, &again.body["result"]),
                (200, &json!("ended")),
                "{}",
                again.body
            );
            assert_eq!((&again.body["refund"]["id"], &again.body["sell"]["id"]), (refund, sell));
        }
        let registered = || -> u32 { world.books().documents.iter().map(|document| document.registered).sum() };
        assert_eq!(registered(), 3, "the sale, its cancelling receipt, and the new sale");

        let read = person.get(&format!("/v1/receipts/{sell_id}")).await?;
        assert_eq!(&read.body["parent"]["id"], refund, "{}", read.body);
        let read = person.get(&path).await?;
        let child = json!({
            "id": refund, "operation": "resell_refund", "external_id": "invoice_main_417_refund", "state": "done",
        });
        assert_eq!(
            (&read.body["children"], &read.body["parent"]),
            (&json!([child]), &Value::Null)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_resell_over_http_names_the_newest_sale_and_nothing_else() -> anyhow::Result<()> {
    within("httpchain", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let mut all = world.all().await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        let id = person.submit(&sale("417")).await?.id()?;
        world.until_state("417", "done").await?;
        // A refund of the same number, of another order: it is no sale, and in nobody's way.
        let mut refund = request("main", "refund", "417", "R-417");
        refund["document"]["order"] = json!("another order");
        let refund = person.submit(&refund).await?.id()?;
        world.until_done(2).await?;
        let nothing = json!({});
        for tag in ["*", "\"0\"", "\"2\""] {
            let refused = person.act(&refund, "resell", tag, &nothing).await?;
            assert_eq!(
                (refused.status, &refused.body["code"]),
                (409, &json!("refused")),
                "{}",
                refused.body
            );
        }
        assert_eq!(world.count("done").await?, 2);

        all.kill().await?;
        let tag = person.get(&format!("/v1/receipts/{id}")).await?.tag()?;
        let begun = person.act(&id, "resell", &tag, &nothing).await?;
        assert_eq!(begun.status, 202, "{}", begun.body);
        let half = |half: &str| begun.body[half]["id"].as_str().context("an id").map(ToOwned::to_owned);
        let (cancelling, sell) = (half("refund")?, half("sell")?);
        for named in [&id, &cancelling, &sell] {
            let again = person.act(named, "resell", "*", &nothing).await?;
            assert_eq!(
                (again.status, &again.body["result"]),
                (202, &json!("under_way")),
                "{}",
                again.body
            );
            assert_eq!(again.body["sale"]["id"], json!(id));
        }
        // The held new sale is closed with its cancelling receipt alone, which the answer names.
        let why = json!({ "reason": "made up" });
        let refused = person.act(&sell, "cancel", "*", &why).await?;
        assert_eq!(
            (refused.status, &refused.body["transaction_id"]),
            (409, &json!(cancelling)),
            "{}",
            refused.body
        );
        assert_eq!(person.act(&cancelling, "cancel", "*", &why).await?.status, 200);
        let read = person.get(&format!("/v1/receipts/{sell}")).await?;
        assert_eq!(read.body["state"], "cancelled");
        // A half that was closed is nobody's to begin with.
        let refused = person.act(&cancelling, "resell", "*", &nothing).await?;
        assert_eq!(
            (refused.status, &refused.body["transaction_id"]),
            (409, &json!(id)),
            "{}",
            refused.body
        );
        // The repetition of what was closed meanwhile begins nothing: the sale has changed.
        assert_eq!(person.act(&id, "resell", &tag, &nothing).await?.status, 412);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_resell_whose_answer_was_lost_is_told_to_whoever_asks_again() -> anyhow::Result<()> {
    within("httplost", &pace(), async |world| {
        let mut http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        let id = person.submit(&sale("417")).await?.id()?;
        world.until_state("417", "done").await?;
        let tag = person.get(&format!("/v1/receipts/{id}")).await?.tag()?;
        let nothing = json!({});
        let (lost, killed) = tokio::join!(person.act(&id, "resell", &tag, &nothing), async {
            let begun = "SELECT count(*) FROM transactions WHERE operation = 'resell_refund' AND parent IS NOT NULL";
            wait::until("the commit", LIMIT, async || {
                let count: i64 = sqlx::query_scalar(begun).fetch_one(&world.pool).await?;
                Ok((count == 1).then_some(()))
            })
            .await?;
            http.kill().await
        });
        killed?;
        // The answer may have been quicker than the kill; the repetition is the same in both cases.
        drop(lost);
        wait::until("the end of the resell", LIMIT, async || {
            Ok((world.count("done").await? == 3).then_some(()))
        })
        .await?;
        let _http = world.fleet.start_http("http2").await?;
        let again = person.act(&id, "resell", &tag, &nothing).await?;
        assert_eq!(
            (again.status, &again.body["result"]),
            (200, &json!("ended")),
            "{}",
            again.body
        );
        assert_eq!(world.registered("417"), 3);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(rows, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_persons_word_over_http_ends_an_unknown_outcome() -> anyhow::Result<()> {
    within("httpresolve", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("driver", 3))).times(2))?;
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        for number in ["417", "418"] {
            person.submit(&sale(number)).await?;
            world.until_state(number, "unknown").await?;
        }
        let id = world.the_row("417").await?.id.to_string();
        let wrong = json!({ "outcome": "registered", "fn": "1", "fd": "0", "fpd": "x", "total": "1.00" });
        let wrong = person.act(&id, "resolve", "*", &wrong).await?;
        let pointers: Vec<&Value> = wrong.body["errors"]
            .as_array()
            .context("errors")?
            .iter()
            .map(|it| &it["pointer"])
            .collect();
        assert_eq!((wrong.status, pointers.len()), (422, 4), "{pointers:?}");
        let found = json!({
            "outcome": "registered", "fn": "9999078902003456", "fd": "4160", "fpd": "3522207165", "total": "1200.00",
        });
        let taken = person.act(&id, "resolve", "*", &found).await?;
        assert_eq!(
            (taken.status, &taken.body["state"]),
            (200, &json!("done")),
            "{}",
            taken.body
        );
        assert_eq!(taken.body["fiscal"]["fpd"], "3522207165");
        let other = world.the_row("418").await?.id.to_string();
        assert_eq!(
            person.act(&other, "resolve", "*", &found).await?.status,
            409,
            "two receipts never share a document"
        );
        let taken = person
            .act(
                &other,
                "resolve",
                "*",
                &json!({ "outcome": "not_registered", "reason": "the cabinet has none" }),
            )
            .await?;
        assert_eq!(
            (taken.status, &taken.body["state"]),
            (200, &json!("retrying")),
            "{}",
            taken.body
        );
        world.assert_done_once("418").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refresh_makes_the_vendor_asked_long_before_its_time() -> anyhow::Result<()> {
    let slow = Pace {
        poll_intervals: r#"["10m"]"#,
        ..pace()
    };
    within("httprefresh", &slow, async |world| {
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let person = world.caller(&EVERYTHING, &[]).await?;
        let id = person.submit(&sale("417")).await?.id()?;
        world.until_state("417", "waiting").await?;
        let asked = person.act(&id, "refresh", "*", &Value::Null).await?;
        assert_eq!(asked.status, 202, "{}", asked.body);
        let read = person.get(&format!("/v1/receipts/{id}")).await?;
        let action = &read.body["actions"][0];
        assert_eq!(
            (&action["action"], &action["actor"]),
            (&json!("refresh"), &json!(format!("shop (key {})", person.key_id)))
        );
        // The document may have come after that question.
        wait::until("the document", LIMIT, async || {
            person.act(&id, "refresh", "*", &Value::Null).await?;
            Ok((world.the_row("417").await?.state == "done").then_some(()))
        })
        .await?;
        world.assert_done_once("417").await?;
        let over = person.act(&id, "refresh", "*", &Value::Null).await?;
        assert_eq!(
            (over.status, &over.body["state"]),
            (409, &json!("done")),
            "{}",
            over.body
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_again() -> anyhow::Result<()> {
    within("httpload", &pace(), async |world| {
        let listen = world.fleet.public.to_string();
        let settings = [("KASSA_HTTP__LISTEN", listen.as_str()), ("KASSA_HTTP__KEY_RATE", "1")];
        let _http = world.fleet.start_with("http", &["http"], &settings).await?;
        let shop = world.caller(&["read"], &[]).await?;
        let mut refused = None;
        for _ in 0..20 {
            let answer = shop.get("/v1/receipts").await?;
            if answer.status == 429 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.context("nobody was refused")?;
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(refused.body["code"], "too_many_requests");

        // Keys that nobody has cost as little, and keep nobody out who has one.
        let mut codes = BTreeSet::new();
        for number in 0..20 {
            let made_up = Caller {
                key: format!("kassa_{number:012x}_{}", "0".repeat(64)),
                ..shop.clone()
            };
            let answer = made_up.get("/v1/receipts").await?;
            let code = answer.body["code"].as_str().context("a code")?.to_owned();
            assert_eq!(
                answer.headers.contains_key("retry-after"),
                answer.status == 429,
                "{code}"
            );
            codes.insert((answer.status, code));
        }
        let (refused, unknown) = (
            (429, "too_many_unknown_keys".to_owned()),
            (401, "key_unknown".to_owned()),
        );
        assert_eq!(codes, BTreeSet::from([unknown, refused]));
        wait::until("the shop's own pace", LIMIT, async || {
            Ok((shop.get("/v1/receipts").await?.status == 200).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn who_asks_too_much_at_once_is_sent_away_and_who_waits_too_many_is_answered_at_once() -> anyhow::Result<()> {
    within("httpcrowd", &pace(), async |world| {
        let listen = world.fleet.public.to_string();
        let settings = [
            ("KASSA_HTTP__LISTEN", listen.as_str()),
            ("KASSA_HTTP__KEY_REQUESTS", "2"),
            ("KASSA_HTTP__WAITING", "1"),
        ];
        let mut http = world.fleet.start_with("http", &["http"], &settings).await?;
        let shop = world.caller(&["submit", "read"], &[]).await?;
        let other = world.caller(&["submit", "read"], &[]).await?;
        let waiting = |caller: &Caller, number: &str| {
            let request = caller
                .request(Method::POST, "/v1/receipts")
                .header("prefer", "wait=10")
                .json(&sale(number));
            let caller = caller.clone();
            async move { caller.answer(request).await }
        };
        // Nobody sends anything, so the first one waits in the only place there is.
        let (first, crowd) = tokio::join!(waiting(&shop, "1"), async {
            wait::until("the first one waits", LIMIT, async || world.row("1").await).await?;
            let second = waiting(&other, "2").await?;
            assert_eq!(second.status, 202, "{}", second.body);
            assert!(!second.headers.contains_key("preference-applied"), "it was not waited");
            // With the one that waits there are three of one key.
            let refused = wait::until("one too many", LIMIT, async || {
                let (one, other) = tokio::join!(shop.get("/v1/receipts"), shop.get("/v1/receipts"));
                Ok([one?, other?].into_iter().find(|answer| answer.status == 429))
            })
            .await?;
            assert_eq!(refused.body["code"], "too_many_at_once");
            assert!(http.stop(LIMIT).await?);
            anyhow::Ok(())
        });
        crowd?;
        assert_eq!(first?.status, 202, "the stop has ended its wait");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_database_nothing_is_promised_and_the_repetition_is_taken() -> anyhow::Result<()> {
    within("httpoutage", &pace(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let shop = world.caller(&["submit"], &[]).await?;
        assert_eq!(shop.submit(&sale("417")).await?.status, 202);
        world.database.set(Flow::Down);
        let refused = shop.submit(&sale("418")).await?;
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.headers.contains_key("retry-after"));
        world.database.set(Flow::Open);
        wait::until("the database", LIMIT, async || {
            Ok((shop.submit(&sale("418")).await?.status == 202).then_some(()))
        })
        .await
    })
    .await
}
