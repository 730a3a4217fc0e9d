//! One question to one proxy. The pod belongs to a tenant, so its answer is bounded in time and
//! size, nothing is followed, and a number is all that is taken from it.

use std::{net::SocketAddr, time::Duration};

use axum::http::{Request, StatusCode, header};
use engine::consumers::Answer;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Of the body; and of the head, as little as the client can be held to.
const SIZE_LIMIT: usize = 256;
const HEAD_LIMIT: usize = 8 * 1024;

#[derive(Deserialize)]
struct Acknowledged {
    generation: Option<i64>,
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What the proxy at that address says it uses.
pub(super) async fn ask(address: SocketAddr) -> Answer {
    let answer = tokio::time::timeout(TIME_LIMIT, exchange(address)).await;
    match answer {
        Ok(Ok(Acknowledged {
            generation: Some(generation),
        })) => Answer::Uses(generation),
        Ok(Ok(Acknowledged { generation: None })) => Answer::Another,
        Ok(Err(_)) | Err(_) => Answer::Silent,
    }
}

async fn exchange(address: SocketAddr) -> Result<Acknowledged, Broken> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = Request::get("/credential")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let asked = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(Broken::from("another status than 200"));
        }
        let body = Limited::new(response.into_body(), SIZE_LIMIT);
        Ok(body.collect().await?.to_bytes())
    };
    // The connection ends with its sender, so both come to an end.
    let (body, _) = tokio::join!(asked, connection);
    Ok(serde_json::from_slice(&body?)?)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Asks a pod that sends `head`, and then `rest` for ever.
    async fn says(head: &str, rest: &'static str) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let head = head.to_owned();
        let pod = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(head.as_bytes()).await;
            while !rest.is_empty() && socket.write_all(rest.as_bytes()).await.is_ok() {}
            if head.is_empty() {
                std::future::pending::<()>().await;
            }
        });
        let answer = ask(address).await;
        pod.abort();
        answer
    }

    fn ok(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_number_is_all_that_is_taken() {
        assert_eq!(
            says(&ok(r#"{"generation":12}"#), "").await,
            Answer::Uses(12)
        );
        assert_eq!(
            says(&ok(r#"{"generation":null}"#), "").await,
            Answer::Another
        );
        for body in [
            "",
            "12",
            "{}x",
            r#"{"generation":"12"}"#,
            r#"{"generation":1e99}"#,
        ] {
            assert_eq!(says(&ok(body), "").await, Answer::Silent, "{body}");
        }
    }

    #[tokio::test]
    async fn a_hostile_pod_costs_two_seconds_and_a_few_kilobytes() {
        let endless = "HTTP/1.1 200 OK\r\n\r\n";
        let moved = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n";
        for (head, rest) in [
            (endless, "1111111111111111"),
            ("HTTP/1.1 200 OK\r\n", "x: yyyyyyyyyyyyyyyyyyyyyyy\r\n"),
            (moved, ""),
            ("SSH-2.0-OpenSSH_9.2\r\n", ""),
            ("", ""),
        ] {
            assert_eq!(says(head, rest).await, Answer::Silent, "{head}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(ask(closed).await, Answer::Silent);
    }
}
