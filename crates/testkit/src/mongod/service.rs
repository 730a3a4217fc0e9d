//! A service that speaks MongoDB's protocol and does not offer all of it: a relay before a mongod
//! that refuses some commands, and some fields of commands, as such services do.

use std::sync::Arc;

use anyhow::{Context, Result};
use mongodb::bson::{Document, doc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const HEADER: usize = 16;
const OP_MSG: i32 = 2013;

/// What a service refuses, and in which words.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// A command's name, or a field's.
    pub what: &'static str,
    pub code: i32,
    pub words: &'static str,
}

pub struct Service {
    pub port: u16,
    /// Ends with it.
    _connections: JoinSet<()>,
}

impl Service {
    pub async fn start(mongod: u16, refusals: &'static [Refusal]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                all.spawn(async move {
                    // It ends when one of the two does: there is nobody to tell.
                    let _ = relay(client, mongod, refusals).await;
                });
            }
        });
        Ok(Self {
            port,
            _connections: connections,
        })
    }
}

async fn relay(client: TcpStream, mongod: u16, refusals: &[Refusal]) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", mongod)).await?;
    let (mut requests, to_client) = client.into_split();
    let (mut replies, mut to_server) = server.into_split();
    let to_client = Arc::new(Mutex::new(to_client));
    let there = async {
        loop {
            let frame = frame(&mut requests).await?;
            match refusals.iter().find(|refusal| refusal.is_of(&frame)) {
                Some(refusal) => refusal.answer(&frame, &to_client).await?,
                None => to_server.write_all(&frame).await?,
            }
        }
    };
    let back = async {
        loop {
            let frame = frame(&mut replies).await?;
            to_client.lock().await.write_all(&frame).await?;
        }
    };
    tokio::select! { ended = there => ended, ended = back => ended }
}

async fn frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    reader.read_exact(&mut frame).await?;
    let rest = usize::try_from(int(&frame, 0)?)?.checked_sub(HEADER);
    frame.resize(HEADER + rest.context("a short frame")?, 0);
    reader
        .read_exact(frame.get_mut(HEADER..).unwrap_or_default())
        .await?;
    Ok(frame)
}

fn int(frame: &[u8], at: usize) -> Result<i32> {
    let bytes = frame.get(at..at + 4).context("a short frame")?;
    Ok(i32::from_le_bytes(bytes.try_into()?))
}

impl Refusal {
    fn is_of(&self, frame: &[u8]) -> bool {
        if !int(frame, 12).is_ok_and(|opcode| opcode == OP_MSG) {
            return false;
        }
        // After the flags and the kind of the first section, which drivers make the command.
        let body = frame.get(HEADER + 5..).unwrap_or_default();
        Document::from_reader(body).is_ok_and(|command| command.contains_key(self.what))
    }

    async fn answer(&self, frame: &[u8], to_client: &Mutex<OwnedWriteHalf>) -> Result<()> {
        let words = self.words;
        let answer = doc! { "ok": 0.0, "errmsg": words, "code": self.code };
        let mut body = vec![0; 5];
        answer.to_writer(&mut body)?;
        let length = i32::try_from(HEADER + body.len())?;
        let mut reply = Vec::new();
        for field in [length, 1, int(frame, 4)?, OP_MSG] {
            reply.extend(field.to_le_bytes());
        }
        reply.extend(body);
        Ok(to_client.lock().await.write_all(&reply).await?)
    }
}
