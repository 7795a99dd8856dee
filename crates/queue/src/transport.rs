//! lapin's connection over a screened stream.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use crate::screen::Screen;

/// How much is read from the socket at once.
const PIECE: usize = 64 * 1024;

type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Connects, over TLS if the address says so.
pub(crate) async fn connect(uri: AMQPUri, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let sockets = Runtime::tokio_current();
    let screened = Runtime::new(RuntimeParts::new(Tokio::current(), Screening(Tokio::current())));
    let connector = async move |uri: AMQPUri, _| {
        let tls = OwnedTLSConfig::default();
        let socket = uri.connect_with_config_async(tls.as_ref(), &sockets).await?;
        // Plain to lapin: if there is TLS, it is below.
        Ok(AsyncTcpStream::Plain(Screened::new(socket)))
    };
    Connection::connector(uri, screened, connector, properties).await
}

/// A socket whose incoming side is screened.
struct Screened {
    socket: Socket,
    screen: Screen,
    piece: Box<[u8]>,
    /// Screened and not yet taken, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

impl Screened {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            screen: Screen::default(),
            piece: vec![0; PIECE].into_boxed_slice(),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl AsyncRead for Screened {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while this.taken == this.ready.len() {
            let count = ready!(Pin::new(&mut this.socket).poll_read(context, &mut this.piece))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.ready.clear();
            this.taken = 0;
            this.screen
                .feed(this.piece.get(..count).unwrap_or_default(), &mut this.ready)?;
        }
        let ready = this.ready.get(this.taken..).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        this.taken += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Screened {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

/// Tokio's reactor, but for the type of the streams: lapin takes the type of its stream from there.
#[derive(Debug, Clone)]
struct Screening(Tokio);

impl Reactor for Screening {
    type TcpStream = Screened;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // lapin connects through the connector above and never registers a socket of its own.
        Err::<Screened, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(Screened::new(AsyncTcpStream::Plain(connecting.await?))) }
    }
}
