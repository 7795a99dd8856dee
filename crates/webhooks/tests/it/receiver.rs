//! A shop's endpoint: a real TLS server with a certificate of a CA of its own, that does what a test tells it and
//! remembers what it saw. Also used by the tests across processes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A certificate authority for one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, for `webhooks.ca_file`.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let names = ["shop.test", "localhost", "127.0.0.1"].map(str::to_owned);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a certificate and its key");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().expect("a text")
    }

    /// Whether the reference library takes it for genuine.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
        verifier.verify(&self.body, &self.headers).is_ok()
    }
}

/// What the endpoint does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// A status with one header.
    With(u16, &'static str, String),
    /// No answer, while the connection stays open.
    Nothing,
    /// 200 and a body that does not end.
    Endless,
}

type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// A running endpoint. Dropping it ends it.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    connections: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    /// Answers the n-th request (from 0) as `script` says.
    pub(crate) async fn start(
        authority: &Authority,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::over(listener, authority, script)
    }

    pub(crate) fn over(
        listener: TcpListener,
        authority: &Authority,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let acceptor = authority.acceptor();
        let (seen_sender, seen) = watch::channel(Vec::new());
        let (counter, connections) = watch::channel(0);
        let seen_sender = Arc::new(seen_sender);
        let script: Arc<Script> = Arc::new(script);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.send_modify(|count| *count += 1);
                let (acceptor, script, seen) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&seen_sender));
                serving.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(move |request| {
                        answer(request, Arc::clone(&script), Arc::clone(&seen))
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            seen,
            connections,
            _tasks: tasks,
        }
    }

    /// Its address under a name.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/kassa", self.address.port())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// How many connections were made to it, whatever became of them.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until it has seen so many requests, with a limit.
    pub(crate) async fn until_seen(&self, count: usize) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|seen| seen.len() >= count);
        let limit = std::time::Duration::from_secs(60);
        let Ok(arrived) = tokio::time::timeout(limit, waiting).await else {
            panic!("not within a minute: {count} requests; seen: {:#?}", self.seen());
        };
        arrived.expect("the endpoint runs").clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    seen: Arc<watch::Sender<Vec<Seen>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let arrived = Seen {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    };
    let mut place = 0;
    seen.send_modify(|seen| {
        place = seen.len();
        seen.push(arrived.clone());
    });
    let reply = |status: u16| Response::builder().status(status);
    let empty = || Full::new(Bytes::new()).boxed();
    let response = match script(place, &arrived) {
        Reply::Status(status) => reply(status).body(empty()),
        Reply::With(status, name, value) => reply(status).header(name, value).body(empty()),
        Reply::Nothing => std::future::pending().await,
        Reply::Endless => {
            let chunks = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 4096]))));
            reply(200).body(BodyExt::boxed(StreamBody::new(chunks)))
        }
    };
    Ok(response.expect("a response"))
}
