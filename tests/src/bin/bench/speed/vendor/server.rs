//! The two listeners.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::answers;
use super::books::Books;

type Answer = Response<Full<Bytes>>;

pub(super) async fn plain(listener: TcpListener, books: Arc<Books>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(connection(stream, Arc::clone(&books)));
        }
    }
}

pub(super) async fn secure(listener: TcpListener, tls: TlsAcceptor, books: Arc<Books>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (tls, books) = (tls.clone(), Arc::clone(&books));
            tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    connection(stream, books).await;
                }
            });
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, books: Arc<Books>) {
    let service = service_fn(move |request| {
        let books = Arc::clone(&books);
        async move { Ok::<_, Infallible>(answer(request, &books).await) }
    });
    // A client that goes away is no news.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, books: &Books) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(path) = path.strip_prefix("/control/") {
        return control(&parts.method, path, books);
    }
    let Ok(body) = body.collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let body = body.to_bytes();
    let answered = match path {
        "/fr/api/v2/Complex" => answers::complex(&body, books),
        "/plain" => answers::plain(&body, books),
        path if path.ends_with("/getToken") => return json(answers::token()),
        path if path.starts_with("/possystem/") => answers::sell(&body, books),
        _ => return status(StatusCode::NOT_FOUND),
    };
    let latency = books.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    answered.map_or_else(|_| status(StatusCode::BAD_REQUEST), json)
}

fn control(method: &Method, path: &str, books: &Books) -> Answer {
    match (method.as_str(), path.split_once('/').unwrap_or((path, ""))) {
        ("GET", ("count", _)) => text(books.count()),
        ("GET", ("books", _)) => text(books.all()),
        ("DELETE", ("books", _)) => {
            books.forget();
            status(StatusCode::NO_CONTENT)
        }
        ("PUT", ("latency", ms)) => match ms.parse() {
            Ok(ms) => {
                books.set_latency(ms);
                status(StatusCode::NO_CONTENT)
            }
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        (_, (_, _)) => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Answer {
    let mut answer = text(String::new());
    *answer.status_mut() = status;
    answer
}

fn text(body: String) -> Answer {
    Response::new(Full::new(Bytes::from(body)))
}

fn json(body: String) -> Answer {
    let mut answer = text(body);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
