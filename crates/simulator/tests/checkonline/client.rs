//! The smallest client with a certificate: it sends what it is given and shows what came back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::{Certificate as Root, Client, Identity};
use serde_json::{Value, json};
use simulator::{Action, Certificate, CheckOnlineFiles, ErrorAnswer, Faults, Point, Rule, Simulator};

pub(crate) struct Shop {
    pub(crate) simulator: Simulator,
    folder: PathBuf,
}

/// An answer, byte for byte.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// From which memory it comes, by its headers.
    pub(crate) memory: Option<&'static str>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    /// HTTP status and error code, the register's or the service's.
    pub(crate) fn code(&self) -> (u16, i64) {
        let code = self.body["Response"]["Error"].as_i64();
        (
            self.status,
            code.or(self.body["FCEError"].as_i64()).expect("an error code"),
        )
    }

    pub(crate) fn number(&self) -> i64 {
        self.body["FiscalDocNumber"].as_i64().expect("a document")
    }
}

/// A receipt that every register takes.
pub(crate) fn receipt(id: &str) -> Value {
    json!({
        "Device": "auto", "RequestId": id, "ClientId": "shop-7", "DocumentType": 0,
        "Lines": [{"Qty": 1000, "Price": 124_500, "PayAttribute": 4, "LineAttribute": 1, "TaxId": 4, "Description": id}],
        "NonCash": [124_500], "TaxMode": 2, "PhoneOrEmail": "anna@example.com", "Place": "https://kettle.example",
    })
}

impl Shop {
    /// Each group has two registers, which take turns.
    pub(crate) async fn open() -> Shop {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("kassa-simulator-{}-{number}", std::process::id()));
        let simulator = Simulator::builder()
            .checkonline(CheckOnlineFiles::in_folder(&folder))
            .checkonline_delay(Duration::ZERO, Duration::ZERO)
            .registers(2)
            .seed(20_260_314)
            .start();
        Shop {
            simulator: simulator.await.expect("a simulator"),
            folder,
        }
    }

    /// Sends bytes as the enterprise of this certificate.
    pub(crate) async fn post_as(&self, which: Certificate, body: String) -> Reply {
        let files = self.simulator.checkonline_files().expect("it was started");
        let read = |path| std::fs::read(path).expect("a file");
        let pair = [read(files.key(which)), read(files.certificate(which))].concat();
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .identity(Identity::from_pem(&pair).expect("a pair"))
            .tls_certs_merge([Root::from_pem(&read(files.ca())).expect("a root")]);
        let client = client.build().expect("a client");
        let url = self.simulator.checkonline_url().expect("it was started");
        let answer = client.post(format!("{url}/fr/api/v2/Complex")).body(body).send();
        let answer = answer.await.expect("an answer");
        let status = answer.status().as_u16();
        let headers = ["x-from-fce-cache", "x-from-cache"];
        let memory = headers.into_iter().find(|name| answer.headers().contains_key(*name));
        let text = answer.text().await.expect("a body");
        Reply {
            status,
            memory,
            body: serde_json::from_str(&text).expect("JSON"),
            text,
        }
    }

    pub(crate) async fn post(&self, body: &Value) -> Reply {
        self.post_as(Certificate::North, body.to_string()).await
    }

    /// The next receipt's register fails so, after it has closed the document.
    pub(crate) fn once_after(&self, kind: &str, code: i64) {
        self.fault(Rule::new(Point::Processing, Action::Error(ErrorAnswer::new(kind, code))).after());
    }

    /// The next receipt's register fails so.
    pub(crate) fn once(&self, kind: &str, code: i64) {
        self.fault(Rule::new(
            Point::Processing,
            Action::Error(ErrorAnswer::new(kind, code)),
        ));
    }

    fn fault(&self, rule: Rule) {
        let faults = Faults {
            rules: vec![rule.for_vendor("checkonline").times(1)],
            ..Faults::default()
        };
        self.simulator.control().set_faults(faults).expect("valid faults");
    }

    pub(crate) fn registered(&self, marker: &str) -> u32 {
        let books = self.simulator.control().books();
        books.registered_by_marker().get(marker).copied().unwrap_or(0)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
