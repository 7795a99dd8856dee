//! The smallest client: it sends what it is given and shows what came back.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use simulator::{Account, Builder, Control, Simulator};
use tokio::time::Instant;

pub(crate) const GROUP: &str = "severny-veter-ru_7310";
pub(crate) const INN: &str = "7805123470";
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn account() -> Account {
    Account {
        group: GROUP.to_owned(),
        login: "severny-veter-ru".to_owned(),
        password: "k7Rw2mQx".to_owned(),
        inn: INN.to_owned(),
    }
}

/// A simulator that processes documents before it answers, unless the test says otherwise.
pub(crate) fn builder() -> Builder {
    Simulator::builder()
        .account(account())
        .delay(Duration::ZERO, Duration::ZERO)
        .seed(20_260_214)
}

pub(crate) struct Shop {
    pub(crate) simulator: Simulator,
    pub(crate) http: Client,
    pub(crate) token: String,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// HTTP status and error code, the two things most tests are about.
    pub(crate) fn code(&self) -> (u16, i64) {
        (self.status, self.body["error"]["code"].as_i64().unwrap_or(0))
    }

    pub(crate) fn text(&self) -> &str {
        self.body["error"]["text"].as_str().unwrap_or_default()
    }

    pub(crate) fn uuid(&self) -> String {
        self.body["uuid"].as_str().expect("a uuid in the answer").to_owned()
    }
}

impl Shop {
    pub(crate) async fn open() -> Shop {
        Shop::open_with(builder()).await
    }

    pub(crate) async fn open_with(builder: Builder) -> Shop {
        let simulator = builder.start().await.expect("the simulator starts");
        let http = Client::builder().timeout(LIMIT).build().expect("a client");
        let mut shop = Shop {
            simulator,
            http,
            token: String::new(),
        };
        shop.token = shop.get_token().await.body["token"]
            .as_str()
            .expect("a token")
            .to_owned();
        shop
    }

    pub(crate) fn control(&self) -> &Control {
        self.simulator.control()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.simulator.atol_url())
    }

    pub(crate) async fn get_token(&self) -> Reply {
        let body = json!({"login": "severny-veter-ru", "pass": "k7Rw2mQx", "source": "veter-shop"});
        send(self.http.post(self.url("getToken")).json(&body)).await
    }

    pub(crate) fn posting(&self, operation: &str, body: &Value) -> RequestBuilder {
        self.http
            .post(self.url(&format!("{GROUP}/{operation}")))
            .header("Token", &self.token)
            .json(body)
    }

    pub(crate) async fn post(&self, operation: &str, body: &Value) -> Reply {
        send(self.posting(operation, body)).await
    }

    pub(crate) async fn sell(&self, external_id: &str) -> Reply {
        self.post("sell", &receipt(external_id)).await
    }

    pub(crate) fn asking(&self, uuid: &str) -> RequestBuilder {
        self.http
            .get(self.url(&format!("{GROUP}/report/{uuid}")))
            .header("Token", &self.token)
    }

    pub(crate) async fn report(&self, uuid: &str) -> Reply {
        send(self.asking(uuid)).await
    }

    /// Asks until the document has ended.
    pub(crate) async fn ended(&self, uuid: &str) -> Value {
        let limit = Instant::now() + LIMIT;
        loop {
            let reply = self.report(uuid).await;
            if reply.body["status"] != "wait" {
                return reply.body;
            }
            assert!(Instant::now() < limit, "still waiting for {uuid}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    Reply {
        status,
        body: response.json().await.expect("an answer in JSON"),
    }
}

/// Waits for what another task brings about.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < limit, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sale of section 10.4 of the fact sheet.
pub(crate) fn receipt(external_id: &str) -> Value {
    json!({
        "timestamp": "14.02.2026 11:07:42",
        "external_id": external_id,
        "receipt": {
            "client": {"email": "pokupatel@example.org"},
            "company": {"email": "kassa@severny-veter.example", "sno": "osn", "inn": INN,
                        "payment_address": "https://severny-veter.example"},
            "items": [
                {"name": "Чайник походный 1,2 л", "price": 1290.00, "quantity": 2, "sum": 2580.00,
                 "measurement_unit": "шт", "payment_method": "full_payment", "payment_object": "commodity",
                 "vat": {"type": "vat22", "sum": 465.25}},
                {"name": "Сыр козий, весовой", "price": 340.00, "quantity": 0.75, "sum": 255.00,
                 "measurement_unit": "кг", "payment_method": "full_payment", "payment_object": "commodity",
                 "vat": {"type": "vat10", "sum": 23.18}}
            ],
            "payments": [{"type": 1, "sum": 2835.00}],
            "vats": [{"type": "vat22", "sum": 465.25}, {"type": "vat10", "sum": 23.18}],
            "total": 2835.00
        }
    })
}
