//! Callbacks, as the service makes them and as they go wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use simulator::{Callbacks, Faults};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::client::{Shop, builder, receipt, until};

/// A shop's receiver: notes what comes, in order.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Value>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    async fn start() -> Receiver {
        let received: Arc<Mutex<Vec<Value>>> = Arc::default();
        let note = |State(received): State<Arc<Mutex<Vec<Value>>>>, headers: HeaderMap, body: String| async move {
            assert_eq!(headers["content-type"], "application/json");
            received
                .lock()
                .expect("unpoisoned")
                .push(serde_json::from_str(&body).expect("JSON"));
        };
        let router = Router::new()
            .route("/hooks/atol", axum::routing::post(note))
            .with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks/atol", listener.local_addr().expect("an address"));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves until dropped") });
        Receiver {
            url,
            received,
            _server: server,
        }
    }

    fn received(&self) -> Vec<Value> {
        self.received.lock().expect("unpoisoned").clone()
    }

    fn receipt(&self, external_id: &str) -> Value {
        let mut body = receipt(external_id);
        body["service"] = json!({"callback_url": self.url});
        body
    }
}

fn faults(callbacks: Callbacks) -> Faults {
    Faults {
        callbacks,
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_callback_carries_the_body_of_the_report_for_done_and_for_fail() {
    let shop = Shop::open_with(builder().delay(Duration::from_millis(1), Duration::from_millis(5))).await;
    let receiver = Receiver::start().await;
    let mut wrong = receiver.receipt("wrong");
    wrong["receipt"]["payments"][0]["sum"] = json!(1);
    for body in [receiver.receipt("right"), wrong] {
        let uuid = shop.post("sell", &body).await.uuid();
        let report = shop.ended(&uuid).await;
        assert_eq!(report["callback_url"], json!(receiver.url));
        until("the callback is there", || receiver.received().contains(&report)).await;
    }
    until("both are counted", || {
        shop.control()
            .books()
            .documents
            .iter()
            .all(|document| document.callbacks == 1)
    })
    .await;
}

#[tokio::test]
async fn callbacks_can_come_many_times_or_not_at_all() {
    let shop = Shop::open().await;
    let receiver = Receiver::start().await;
    shop.control().set_faults(faults(Callbacks::Lost)).expect("valid");
    shop.post("sell", &receiver.receipt("lost")).await;
    shop.control().set_faults(faults(Callbacks::Off)).expect("valid");
    shop.post("sell", &receiver.receipt("off")).await;
    shop.control().set_faults(faults(Callbacks::Twice)).expect("valid");
    shop.post("sell", &receiver.receipt("twice")).await;
    until("it came twice", || receiver.received().len() == 2).await;
    assert!(receiver.received().iter().all(|body| body["external_id"] == "twice"));
    shop.control()
        .set_faults(faults(Callbacks::Repeated(7)))
        .expect("valid");
    shop.post("sell", &receiver.receipt("often")).await;
    until("it came seven times", || receiver.received().len() == 9).await;
    let books = shop.control().books();
    let often = books.by_external_id("often").expect("accepted");
    assert_eq!(often.callback_url.as_deref(), Some(receiver.url.as_str()));
    assert_eq!(shop.control().books().answers["callback fault lost"], 1);
}

#[tokio::test]
async fn a_callback_can_overtake_the_answer() {
    let shop = Shop::open_with(builder().delay(Duration::from_secs(60), Duration::from_secs(60))).await;
    let receiver = Receiver::start().await;
    shop.control().set_faults(faults(Callbacks::Early)).expect("valid");
    let answer = shop.post("sell", &receiver.receipt("order-1")).await;
    let received = receiver.received();
    assert_eq!((received.len(), &received[0]["uuid"]), (1, &answer.body["uuid"]));
    assert_eq!(answer.body["status"], "wait");
}

#[tokio::test]
async fn a_bad_address_is_accepted_with_a_warning() {
    let shop = Shop::open().await;
    let mut body = receipt("order-1");
    body["service"] = json!({"callback_url": "severny-veter.example/hook"});
    let report = shop.ended(&shop.post("sell", &body).await.uuid()).await;
    assert_eq!(report["status"], "done");
    assert_eq!(
        report["warnings"],
        json!({"callback_url": "callback_url не соответствует маске"})
    );
    assert_eq!(report["callback_url"], "severny-veter.example/hook");

    body["external_id"] = json!("order-2");
    body["service"]["callback_url"] = json!("x".repeat(257));
    let refused = shop.post("sell", &body).await;
    assert!(
        refused.text().ends_with("StringTooLong: #/service.callback_url"),
        "{}",
        refused.text()
    );
}
