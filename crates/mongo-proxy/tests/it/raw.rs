//! A connection without a driver: says exactly what a test wants to have said.

use anyhow::{Context, Result, ensure};
use mongodb::bson::Document;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OP_MSG: i32 = 2013;
pub(crate) const MORE_TO_COME: u32 = 2;
pub(crate) const EXHAUST_ALLOWED: u32 = 1 << 16;

pub(crate) struct Raw {
    socket: TcpStream,
    requests: i32,
}

/// An answer and what its frame says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: i32,
    pub(crate) response_to: i32,
    pub(crate) flags: u32,
    pub(crate) body: Document,
}

impl Raw {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        Ok(Self {
            socket,
            requests: 0,
        })
    }

    /// Sends a command, and returns the number of its request.
    pub(crate) async fn send(&mut self, flags: u32, body: &Document) -> Result<i32> {
        self.send_with(flags, body, &[]).await
    }

    /// With documents in a section of their own.
    pub(crate) async fn send_with(
        &mut self,
        flags: u32,
        body: &Document,
        documents: &[u8],
    ) -> Result<i32> {
        self.requests += 1;
        let mut payload = flags.to_le_bytes().to_vec();
        payload.push(0);
        payload.extend(body.to_vec()?);
        if !documents.is_empty() {
            let name = b"documents\0";
            let length = i32::try_from(4 + name.len() + documents.len())?;
            payload.push(1);
            payload.extend(length.to_le_bytes());
            payload.extend(name);
            payload.extend(documents);
        }
        let length = i32::try_from(16 + payload.len())?;
        let header = [length, self.requests, 0, OP_MSG].map(i32::to_le_bytes);
        self.socket.write_all(&header.concat()).await?;
        self.socket.write_all(&payload).await?;
        Ok(self.requests)
    }

    pub(crate) async fn receive(&mut self) -> Result<Answer> {
        let mut header = [0; 16];
        self.socket.read_exact(&mut header).await?;
        let field = |at: usize| -> Result<i32> {
            let bytes = header.get(at..at + 4).context("a short header")?;
            Ok(i32::from_le_bytes(bytes.try_into()?))
        };
        let mut payload = vec![0; usize::try_from(field(0)?)? - header.len()];
        self.socket.read_exact(&mut payload).await?;
        let (flags, rest) = payload.split_at_checked(4).context("no flags")?;
        let (kind, body) = rest.split_first().context("no section")?;
        ensure!(*kind == 0 && field(12)? == OP_MSG, "another form of answer");
        Ok(Answer {
            id: field(4)?,
            response_to: field(8)?,
            flags: u32::from_le_bytes(flags.try_into()?),
            body: Document::from_reader(body)?,
        })
    }

    pub(crate) async fn call(&mut self, body: &Document) -> Result<Document> {
        let id = self.send(0, body).await?;
        let answer = self.receive().await?;
        ensure!(answer.response_to == id, "{answer:?}");
        Ok(answer.body)
    }
}
