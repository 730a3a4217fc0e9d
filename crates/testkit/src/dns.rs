//! A name server that knows the hosts of one service.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use hickory_resolver::proto::op::{Message, OpCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// How long an answer holds, in seconds.
const TTL: u32 = 1;

pub struct NameServer {
    pub address: SocketAddr,
    hosts: Arc<Mutex<Vec<(String, u16)>>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Answers every question with these hosts and their ports.
    pub async fn start(hosts: Vec<(String, u16)>) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let hosts = Arc::new(Mutex::new(hosts));
        let shared = Arc::clone(&hosts);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = buffer.get(..length).unwrap_or_default();
                let known = lock(&shared).clone();
                if let Ok(answer) = answer(question, &known) {
                    // Who asked asks again.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self {
            address,
            hosts,
            task,
        })
    }

    pub fn change(&self, hosts: Vec<(String, u16)>) {
        *lock(&self.hosts) = hosts;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(question: &[u8], hosts: &[(String, u16)]) -> Result<Vec<u8>> {
    let question = Message::from_vec(question)?;
    let query = question.queries.first().context("no question")?;
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.queries.push(query.clone());
    for (host, port) in hosts {
        let service = SRV::new(0, 0, *port, Name::from_ascii(host)?);
        let record = Record::from_rdata(query.name().clone(), TTL, RData::SRV(service));
        answer.add_answer(record);
    }
    Ok(answer.to_vec()?)
}
