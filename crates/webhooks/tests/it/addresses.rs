//! Where a webhook may go, whatever its name answers.

use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use webhooks::{Client, Config, Heard, Silence};

use crate::harness::{CaFile, Names, config, endpoint};
use crate::receiver::{Authority, Receiver, Reply};

const REFUSED: Heard = Heard::Silence(Silence::Address);
const TAKEN: Heard = Heard::Answer {
    status: 200,
    retry_after: None,
};

#[tokio::test]
async fn a_name_of_a_private_address_is_not_connected_to() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let nothing_allowed = Config {
        allow_networks: Vec::new(),
        ..config(&ca)
    };
    for private in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
    ] {
        let names = Names::answering(&[&[private]]).0;
        let client = Client::with_lookup(&nothing_allowed, names).expect("a client");
        let heard = client
            .post(&endpoint(&receiver.url("shop.test")), "id", Vec::new())
            .await;
        assert_eq!(heard, REFUSED, "{private}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_private_address_in_the_url_is_not_connected_to() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let nothing_allowed = Config {
        allow_networks: Vec::new(),
        ..config(&ca)
    };
    let client = Client::build(&nothing_allowed).expect("a client");
    // The last three are spellings of 127.0.0.1.
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"] {
        let heard = client.post(&endpoint(&receiver.url(host)), "id", Vec::new()).await;
        assert_eq!(heard, REFUSED, "{host}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_network_that_is_allowed_by_name_is_connected_to() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let client = Client::build(&config(&ca)).expect("a client");
    let heard = client
        .post(&endpoint(&receiver.url("127.0.0.1")), "id", Vec::new())
        .await;
    assert_eq!(heard, TAKEN);
}

/// The name answers with a permitted address first and with another one whenever it is asked again. The endpoint of the
/// second answer listens on the same port and would be believed: it has a certificate for the name.
#[tokio::test]
async fn a_name_that_changes_its_answer_gets_nobody_else_connected() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let shop = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let listener = TcpListener::bind(("127.0.0.2", shop.address.port()))
        .await
        .expect("the same port");
    let inside = Receiver::over(listener, &authority, |_, _| Reply::Status(200));
    let (names, asked) = Names::answering(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = Client::with_lookup(&config(&ca), names.clone()).expect("a client");
    let endpoint = endpoint(&shop.url("shop.test"));

    assert_eq!(client.post(&endpoint, "id", Vec::new()).await, TAKEN);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "what was judged is what is connected to"
    );

    // Another process: no kept connection, and the name is asked again.
    let another = Client::with_lookup(&config(&ca), names).expect("a client");
    assert_eq!(another.post(&endpoint, "id", Vec::new()).await, REFUSED);
    assert_eq!((shop.seen().len(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_permitted_is_used() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let shop = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let listener = TcpListener::bind(("127.0.0.2", shop.address.port()))
        .await
        .expect("the same port");
    let inside = Receiver::over(listener, &authority, |_, _| Reply::Status(200));
    let names = Names::answering(&[&["127.0.0.2", "127.0.0.1"]]).0;
    let client = Client::with_lookup(&config(&ca), names).expect("a client");
    let heard = client.post(&endpoint(&shop.url("shop.test")), "id", Vec::new()).await;
    assert_eq!(heard, TAKEN);
    assert_eq!((shop.seen().len(), inside.connections()), (1, 0));
}
